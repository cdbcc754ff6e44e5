/** Room: peft. Keys that the `adapter_config.json` of every method has, by Hugging Face PEFT 0.21. */
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { preview } from '../engine/io/files.ts';
import { AUDIT_KEY } from './planted.ts';
import type { TargetRule } from './targets.ts';

export interface CommonConfig extends TargetRule {
  /** Key of the method in the registry of `peft/config.ts`. */
  readonly method: string;
  /** Biases of the base that train along: none unless set. */
  readonly bias?: 'none' | 'all' | 'lora_only';
  /** Modules trained whole, by the last parts of their names. */
  readonly modulesToSave: readonly string[];
  /** Dropout of the modules, in [0, 1). */
  readonly dropout: number;
  /** PEFT's task type, e.g. `SEQ_CLS`. */
  readonly taskType: string | null;
  readonly baseModel: string | null;
  /** Keys of the file that have no meaning here, to be written back. */
  readonly extra: Readonly<Record<string, unknown>>;
}

export type RawConfig = Readonly<Record<string, unknown>>;

const names = z.array(z.string().min(1));
export const probability = z.number().min(0).lt(1);
export const size = z.int().positive();

/** A list or one regular expression; null or an empty list is none. */
export const nameRule = z
  .union([names, z.string()])
  .nullish()
  .transform((m) => (m === null || m?.length === 0 ? undefined : m));

export const patternOf = (value: z.ZodType<number>): z.ZodType<Record<string, number>> =>
  z
    .record(z.string(), value)
    .nullish()
    .transform((p) => p ?? {});

export const list = <T>(item: z.ZodType<T>): z.ZodType<T[] | undefined> =>
  z
    .union([z.array(item), item])
    .nullish()
    .transform((v) => (v === null || v === undefined ? undefined : Array.isArray(v) ? v : [v]));

export const commonKeys = {
  target_modules: z
    .union([names, z.string().min(1)])
    .nullish()
    .transform((t) => t ?? undefined),
  modules_to_save: names.nullish().transform((m) => m ?? []),
  task_type: z.string().nullish(),
  base_model_name_or_path: z.string().nullish(),
};

interface CommonKeys {
  readonly target_modules?: string | string[] | undefined;
  readonly modules_to_save: string[];
  readonly task_type?: string | null | undefined;
  readonly base_model_name_or_path?: string | null | undefined;
}

export function commonConfig(keys: CommonKeys): Omit<CommonConfig, 'method' | 'dropout' | 'extra'> {
  return {
    targetModules: keys.target_modules,
    modulesToSave: keys.modules_to_save,
    taskType: keys.task_type ?? null,
    baseModel: keys.base_model_name_or_path ?? null,
  };
}

export function commonJson(config: CommonConfig): Record<string, unknown> {
  return {
    ...config.extra,
    target_modules: config.targetModules ?? null,
    modules_to_save: config.modulesToSave.length > 0 ? config.modulesToSave : null,
    task_type: config.taskType,
    base_model_name_or_path: config.baseModel,
  };
}

/**
 * Keys without a meaning here. Those that are switched on are refused, be they of a later PEFT.
 * @param known keys that are read
 * @param harmless keys that may have any value: they change nothing of what is computed
 */
export function extraKeys(
  raw: RawConfig,
  known: object,
  harmless: ReadonlySet<string>,
  file: string,
): Record<string, unknown> {
  const extra = Object.entries(raw).filter(([key]) => key !== 'peft_type' && !Object.hasOwn(known, key));
  const isOff = (value: unknown): boolean =>
    value === null || value === false || (typeof value === 'object' && Object.keys(value).length === 0);
  const isHarmless = (key: string): boolean => key === AUDIT_KEY || harmless.has(key);
  const wrong = extra.find(([key, value]) => !isHarmless(key) && !isOff(value));
  if (!wrong) return Object.fromEntries(extra);
  throw new UserError(
    `${file}: key "${wrong[0]}": found ${preview(wrong[1])}, which is not supported; expected it off`,
  );
}
