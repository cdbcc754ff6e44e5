/** Room: bench. Parts of a suite: each is on disk as soon as it is measured, one that fails costs no other, and a later run can go on. */
import { rm } from 'node:fs/promises';
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { exists, writeJson } from '../engine/io/files.ts';
import { header, readVersioned, withoutFormat, type VersionedFormat } from '../engine/io/versioned.ts';

const fileSchema = z.object({
  ...header('light-peft/parts', 1),
  /** What two runs must share for parts of one to stand in the other. */
  identity: z.string(),
  parts: z.record(z.string(), z.object({ date: z.string(), seconds: z.number(), value: z.unknown() })),
});

type PartsFile = z.infer<typeof fileSchema>;

const PARTS = {
  format: 'light-peft/parts',
  version: 1,
  schema: fileSchema,
  unversioned: withoutFormat,
} as const satisfies VersionedFormat<PartsFile>;

export interface Failure {
  readonly part: string;
  readonly reason: string;
}

export class Parts {
  readonly #path: string;
  readonly #file: PartsFile;
  readonly #failures: Failure[] = [];
  readonly #earlier: string[] = [];

  private constructor(path: string, file: PartsFile) {
    this.#path = path;
    this.#file = file;
  }

  /**
   * @param resume whether to keep what an earlier run of the same identity left at `path`
   * @throws UserError for a file that holds something else
   */
  static async open(path: string, identity: string, resume: boolean): Promise<Parts> {
    const before = resume && (await exists(path)) ? await readVersioned(path, PARTS) : undefined;
    const kept =
      before?.identity === identity ? before : { format: PARTS.format, version: PARTS.version, identity, parts: {} };
    if (before === undefined) await rm(path, { force: true });
    return new Parts(path, kept);
  }

  /** Parts that could not be measured. */
  get failures(): readonly Failure[] {
    return this.#failures;
  }

  /** Parts taken from an earlier run, with their dates. */
  get earlier(): readonly string[] {
    return this.#earlier;
  }

  /**
   * Measures a part, or takes it from the earlier run.
   * @param schema of what is measured, which must survive JSON
   * @returns undefined where it failed; the reason is in `failures`
   */
  async measure<T>(part: string, schema: z.ZodType<T>, run: () => Promise<T>): Promise<T | undefined> {
    const past = this.#file.parts[part];
    const known = schema.safeParse(past?.value);
    if (past && known.success) {
      this.#earlier.push(`${part} (${past.date.slice(0, 16).replace('T', ' ')})`);
      return known.data;
    }
    const date = new Date().toISOString();
    const started = performance.now();
    try {
      const value = await run();
      this.#file.parts[part] = { date, seconds: (performance.now() - started) / 1000, value };
      await writeJson(this.#path, this.#file);
      return value;
    } catch (error) {
      const reason = error instanceof UserError ? error.message : String(error);
      this.#failures.push({ part, reason });
      return undefined;
    }
  }
}
