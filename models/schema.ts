/** Room: models. What the `config.json` of all families have in common: keys, and how they are read. */
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { validate } from '../engine/io/files.ts';
import { ACTIVATION_NAMES, type ModelConfig } from './architecture.ts';

export const count = z.int().positive();
export const token = z.int().nonnegative();
export const probability = z.number().min(0).lt(1);
/** f32 has only infinity beyond. */
export const positive = z.number().positive().max(3.4e38);

/** One of transformers' names. */
export const activationName = z.enum(Object.keys(ACTIVATION_NAMES) as (keyof typeof ACTIVATION_NAMES)[]);

/** A feature that is not supported, and may only be off; null is off too. */
const off = z.literal(false).nullish();

const PROBLEM_TYPES = ['single_label_classification', 'multi_label_classification', 'regression'] as const;

/** A feature that is not supported, and may only be absent, null or empty. */
const absent = (what: string): z.ZodType => {
  const isEmpty = (value: unknown): boolean => Object.keys(value ?? {}).length === 0;
  return z.unknown().refine(isEmpty, `${what} are not supported, expected none`).optional();
};

/** Keys that every family has. */
export const commonKeys = {
  vocab_size: count,
  initializer_range: positive.default(0.02),
  is_decoder: off,
  add_cross_attention: off,
  quantization_config: absent('quantised weights'),
  pruned_heads: absent('heads pruned by transformers'),
  num_labels: count.max(100_000).optional(),
  // Some files name their labels by numbers.
  id2label: z.record(z.string(), z.union([z.string(), z.number()]).transform(String)).nullish(),
  problem_type: z.enum(PROBLEM_TYPES).nullish(),
};

export type RawObject = Record<string, unknown>;

/** A file that is being read: its object, and its name for messages. */
export interface ConfigFile {
  readonly raw: RawObject;
  readonly path: string;
}

/** @throws UserError naming the key */
export function readKeys<T>({ raw, path }: ConfigFile, schema: z.ZodType<T>): T {
  return validate(raw, schema, path);
}

/** What `commonKeys` say of a model. */
export function commonConfig(
  keys: Omit<z.infer<z.ZodObject<typeof commonKeys>>, 'is_decoder'>,
  { raw, path }: ConfigFile,
): Pick<ModelConfig, 'vocabSize' | 'initializerRange' | 'labels' | 'problemType' | 'raw'> {
  return {
    vocabSize: keys.vocab_size,
    initializerRange: keys.initializer_range,
    labels: labelNames(keys.id2label, keys.num_labels, path),
    problemType: keys.problem_type ?? undefined,
    raw,
  };
}

/** Features of a head. @throws UserError where heads do not divide the hidden size */
export function dividedBy(
  { path }: ConfigFile,
  [sizeKey, size]: readonly [string, number],
  [headsKey, heads]: readonly [string, number],
): number {
  if (size % heads === 0) return size / heads;
  throw new UserError(`${path}: key "${sizeKey}": found ${size}, expected a multiple of ${headsKey} (${heads})`);
}

/** As transformers does it: `id2label` wins over `num_labels`, and two labels are the default. */
function labelNames(
  id2label: Record<string, string> | null | undefined,
  numLabels: number | undefined,
  path: string,
): string[] {
  if (!id2label) return Array.from({ length: numLabels ?? 2 }, (_, i) => `LABEL_${i}`);
  const size = Object.keys(id2label).length;
  return Array.from({ length: size }, (_, i) => {
    const label = id2label[String(i)];
    if (label !== undefined) return label;
    throw new UserError(`${path}: key "id2label": no label ${i}, expected the keys "0" to "${size - 1}"`);
  });
}
