/**
 * Room: experiments. The options of all rooms side by side, each under a key of its own: as YAML files and the benchmarks' `--set` have
 * them, and flags in kebab case.
 */
import type { z } from 'zod';
import { fieldOf, type Field } from './field.ts';
import { runOptionsSchema, type RunOptions } from './options.ts';

/** Options whose keys are other words. */
const KEYS: Readonly<Record<string, string>> = {
  method: 'peft',
  r: 'loraR',
  maxGradNorm: 'clip',
  groupByLength: 'bucket',
  heads: 'headsRatio',
  neurons: 'ffnRatio',
  neuronsScope: 'ffnScope',
  modules: 'moduleRatio',
  ranks: 'rankRatio',
  ranksScope: 'rankScope',
  startFrom: 'carry',
};

/** The key of an option, in camel case. */
export function settingKey(name: string): string {
  return KEYS[name] ?? name;
}

/** `lora-alpha`, `lora_alpha` → `loraAlpha` */
export function camelCase(key: string): string {
  return key.replace(/[-_](\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** An option of a room under its key. */
export interface Setting extends Field {
  readonly room: keyof RunOptions;
  readonly name: string;
  readonly key: string;
  readonly schema: z.ZodType;
}

/** By keys, in the order in which `--help` shows them. */
export const SETTINGS: ReadonlyMap<string, Setting> = new Map(
  Object.entries(runOptionsSchema.shape).flatMap(([room, { shape }]) =>
    Object.entries(shape as Record<string, z.ZodType>).map(([name, schema]): [string, Setting] => {
      const key = settingKey(name);
      return [key, { room: room as keyof RunOptions, name, key, schema, ...fieldOf(schema) }];
    }),
  ),
);
