/** Room: sweep. `sweep.yaml`: a base configuration, axes, and what is measured. */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { fileError, validate } from '../engine/io/files.ts';
import { camelCase, flagName, settingKey } from '../experiments/settings.ts';
import { configSchema, DIRECTIONS, SWEEP_COMMANDS, type TrialConfig } from '../report/sweep/schema.ts';

const count = z.int().positive();
const values = z.array(z.json()).min(1);
const range = z
  .tuple([z.number(), z.number()])
  .refine(([low, high]) => low < high, 'the first is not below the second');

/** From which values are drawn; the bounds belong to it. */
const distributionSchema = z.union([
  z.strictObject({ uniform: range }),
  z.strictObject({
    'log-uniform': range.refine(([low]) => low > 0, 'the first is not above 0'),
  }),
  z.strictObject({ integers: range.refine((bounds) => bounds.every(Number.isInteger), 'not two whole numbers') }),
  z.strictObject({ choice: values }),
]);

export type Distribution = z.infer<typeof distributionSchema>;

/** Options by names as flags have them, and the values that they must have; a list: one of them. */
const whenSchema = z.record(z.string(), z.json());

const schedulerSchema = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('asha'), 'min-steps': count, 'reduction-factor': z.int().min(2).default(3) }),
  z.strictObject({ name: z.literal('median'), every: count, 'min-trials': count.default(3) }),
]);

export const specSchema = z
  .strictObject({
    name: z.string().min(1).optional(),
    command: z.enum(SWEEP_COMMANDS).default('run'),
    /** Options of all trials; `config` names a file of some. */
    base: z.record(z.string(), z.json()).default({}),
    grid: z.record(z.string(), values).default({}),
    zip: z.record(z.string(), values).default({}),
    list: z.array(z.record(z.string(), z.json())).min(1).optional(),
    random: z
      .strictObject({
        samples: count,
        seed: z.int().nonnegative().default(0),
        options: z.record(z.string(), distributionSchema),
      })
      .optional(),
    seeds: z.array(z.int().nonnegative()).min(1).optional(),
    /** An option is there only where others have such values. */
    conditions: z.record(z.string(), whenSchema).default({}),
    /** Configurations that are left out. */
    exclude: z.array(whenSchema).default([]),
    metric: z.string().min(1).optional(),
    direction: z.enum(DIRECTIONS).optional(),
    scheduler: schedulerSchema.optional(),
    /** Options of the data that `sweep final` reads in place of the base's. */
    final: z.record(z.string(), z.json()).optional(),
    /** `any`; `same`: repeats of a configuration run on one kind of adapter; or part of an adapter's name: all run on that. */
    adapter: z.string().min(1).default('any'),
    /** How often a trial is tried again that failed otherwise than by its options. */
    retries: z.int().nonnegative().default(2),
  })
  .refine((spec) => spec.metric === undefined || spec.direction !== undefined, {
    error: 'missing, expected maximize or minimize',
    path: ['direction'],
  })
  .refine((spec) => spec.scheduler === undefined || spec.metric !== undefined, {
    error: 'missing, a scheduler decides by it',
    path: ['metric'],
  })
  .refine((spec) => new Set(Object.values(spec.zip).map(({ length }) => length)).size <= 1, {
    error: 'lists of different lengths, expected as many values of each option',
    path: ['zip'],
  });

export type SweepSpec = z.output<typeof specSchema>;

/** @throws UserError naming the file, the key at fault, and what was expected */
export async function readSpec(path: string): Promise<SweepSpec> {
  const content = await readYaml(path);
  const spec = validate(content ?? {}, specSchema, path);
  return {
    ...spec,
    base: await withFile(spec.base),
    grid: byFlags(spec.grid),
    zip: byFlags(spec.zip),
    ...(spec.list && { list: await Promise.all(spec.list.map(withFile)) }),
    ...(spec.random && { random: { ...spec.random, options: byFlags(spec.random.options) } }),
    conditions: byFlags(Object.fromEntries(Object.entries(spec.conditions).map(([key, when]) => [key, byFlags(when)]))),
    exclude: spec.exclude.map(byFlags),
    ...(spec.final && { final: byFlags(spec.final) }),
  };
}

async function readYaml(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(path, error);
  });
  try {
    return parse(text);
  } catch (error) {
    throw new UserError(`${path}: cannot be read as YAML: ${(error as Error).message.split('\n')[0]}`);
  }
}

/** Options by flags, over those of the file that `config` names. */
async function withFile({ config: path, ...options }: TrialConfig): Promise<TrialConfig> {
  if (path === undefined) return byFlags(options);
  const file = plainText(path);
  const settings = validate((await readYaml(file)) ?? {}, configSchema, file);
  return { ...byFlags(settings), ...byFlags(options) };
}

/** Keys as flags have them, however they were written. */
function byFlags<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [flagOf(key), value]));
}

/** `loraR`, `lora_r`, `r` → `lora-r` */
function flagOf(key: string): string {
  return flagName(settingKey(camelCase(key)));
}

/** A value of a configuration that may be written as a list, or with commas. */
export function listOf(value: TrialConfig[string] | undefined): string[] {
  if (value === undefined || value === null) return [];
  return (typeof value === 'string' ? value.split(',') : [value].flat()).map((item) => plainText(item).trim());
}

/** A text as it is; anything else as JSON has it. */
export function plainText(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined ? 'missing' : JSON.stringify(value);
}
