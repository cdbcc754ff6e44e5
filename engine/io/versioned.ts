/**
 * Room: engine/io. JSON files of the project's own: each names its `format` and `version`, and these are told before anything else
 * is complained about.
 */
import { z } from 'zod';
import { UserError } from '../errors.ts';
import { preview, readJson, validate, writeJson } from './files.ts';

export interface VersionedFormat<T extends object> {
  /** `light-peft/…`. */
  readonly format: string;
  readonly version: number;
  /** Of the whole file, `format` and `version` included. */
  readonly schema: z.ZodType<T>;
  /** Today's content of a file from before the format had versions; undefined for any other file. Absent: there are none. */
  readonly unversioned?: (found: unknown) => object | undefined;
}

type Content<T> = Omit<T, 'format' | 'version'>;

/** The keys that every such file begins with. */
export function header<const F extends string, const V extends number>(
  format: F,
  version: V,
): { format: z.ZodLiteral<F>; version: z.ZodLiteral<V> } {
  return { format: z.literal(format), version: z.literal(version) };
}

/** Writes a file atomically. */
export function writeVersioned<T extends object>(
  path: string,
  { format, version }: VersionedFormat<T>,
  content: Content<T>,
): Promise<void> {
  return writeJson(path, { format, version, ...content });
}

/** @throws UserError for a file that is missing, of another format or version, or malformed */
export async function readVersioned<T extends object>(
  path: string,
  { format, version, schema, unversioned }: VersionedFormat<T>,
): Promise<T> {
  const found = await readJson(path, z.unknown());
  const early = unversioned?.(found);
  const value = early ? { format, version, ...early } : found;
  const head = validate(value, z.looseObject({ format: z.literal(format), version: z.unknown().optional() }), path);
  if (head.version !== version) {
    const expected = `this program reads version ${version}; use the program that wrote it, or make it again`;
    throw new UserError(`${path}: key "version": found ${preview(head.version)}, ${expected}`);
  }
  return validate(value, schema, path);
}

/** An object without `format`, as `unversioned` takes it. */
export function withoutFormat(found: unknown): object | undefined {
  return typeof found === 'object' && found !== null && !Array.isArray(found) && !('format' in found)
    ? found
    : undefined;
}
