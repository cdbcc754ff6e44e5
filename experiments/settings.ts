/**
 * Room: experiments. The options of all rooms side by side, each under a key of its own: as YAML files and the benchmarks' `--set` have
 * them, and flags in kebab case.
 */
import type { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { phraseFor } from '../engine/expectation.ts';
import { issueText } from '../engine/options.ts';
import { fieldOf, type Field } from './field.ts';
import { assertOptionsFit, runOptionsSchema, type RunOptions } from './options.ts';
import { PRESETS } from './presets.ts';

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

/** `loraAlpha` → `lora-alpha` */
export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
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

/**
 * Options from values as flags and YAML files have them, over those of a preset where one is named.
 * @param given by keys in camel case
 * @param where what a key is called in errors
 * @throws UserError naming the key, what was found and what was expected; for options that do not fit each other
 */
export function parseSettings(given: ReadonlyMap<string, unknown>, where: (key: string) => string): RunOptions {
  const rooms = Object.fromEntries(Object.keys(runOptionsSchema.shape).map((room) => [room, {}])) as Record<
    keyof RunOptions,
    Record<string, unknown>
  >;
  const preset = new Map(Object.entries(presetOf(given)));
  for (const { room, name, key, decode } of SETTINGS.values()) {
    if (given.has(key)) rooms[room][name] = decode(given.get(key), where(key));
    else if (preset.has(key)) rooms[room][name] = preset.get(key);
  }
  const parsed = runOptionsSchema.safeParse(rooms, { error: phraseFor(runOptionsSchema) });
  if (parsed.success) {
    assertOptionsFit(parsed.data);
    return parsed.data;
  }
  const issue = parsed.error.issues[0]!;
  const [room, name, ...within] = issue.path as [keyof RunOptions, string, ...PropertyKey[]];
  throw new UserError(`${where(settingKey(name))}: ${issueText(issue, within, rooms[room][name])}`);
}

/** None where no preset is named, or an unknown one, which parsing refuses. */
function presetOf(given: ReadonlyMap<string, unknown>): Readonly<Record<string, unknown>> {
  return Object.entries(PRESETS).find(([name]) => name === given.get('preset'))?.[1] ?? {};
}

/** Options of a preset by their flags; none for an unknown one. */
export function presetFlags(name: string): Record<string, unknown> {
  const preset = presetOf(new Map([['preset', name]]));
  return Object.fromEntries(Object.entries(preset).map(([key, value]) => [flagName(key), value]));
}
