/** Room: cli. Turns the settings table into flags, and flags and `--config` files back into settings. */
import { Option, type Command } from 'commander';
import { parse } from 'yaml';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { settingsSchema, type Settings } from '../train/settings.ts';

type Key = keyof Settings;

/** Every setting. */
const ALL_SETTINGS = Object.keys(settingsSchema.shape) as Key[];

/** What of a setting's schema a flag needs to know. */
interface Field {
  readonly kind: 'number' | 'boolean' | 'string';
  readonly choices?: readonly string[];
  readonly fallback: number | string | boolean | undefined;
  readonly description: string;
}

function fieldOf(key: Key): Field {
  const outer: z.ZodType = settingsSchema.shape[key];
  const inner = outer instanceof z.ZodDefault || outer instanceof z.ZodOptional ? (outer.unwrap() as z.ZodType) : outer;
  const fallback = outer.safeParse(undefined).data as Field['fallback'];
  const description = outer.description ?? '';
  if (inner instanceof z.ZodBoolean) return { kind: 'boolean', fallback, description };
  if (inner instanceof z.ZodEnum) return { kind: 'string', choices: inner.options.map(String), fallback, description };
  return { kind: inner instanceof z.ZodString ? 'string' : 'number', fallback, description };
}

/** `loraAlpha` → `lora-alpha` */
function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Adds the flags of some settings, and `--config`, to a command. */
export function addSettings(command: Command, keys: readonly Key[] = ALL_SETTINGS): Command {
  for (const key of keys) command.addOption(optionOf(key));
  return command.option('--config <file>', 'YAML file with the same settings, flags win over it');
}

function optionOf(key: Key): Option {
  const { kind, choices, fallback, description } = fieldOf(key);
  const name = flagName(key);
  if (kind === 'boolean') {
    return fallback === true
      ? new Option(`--no-${name}`, `do not ${description}`)
      : new Option(`--${name}`, description);
  }
  const shown =
    fallback === undefined ? '' : ` (default: ${typeof fallback === 'number' ? round(fallback) : fallback})`;
  const option = new Option(
    `--${name} <${choices ? choices.join('|') : kind === 'number' ? 'n' : 'value'}>`,
    description + shown,
  );
  return kind === 'number' ? option.argParser((text) => parseNumber(text, `--${name}`)) : option;
}

function round(value: number): string {
  return String(Number(value.toPrecision(4)));
}

/** A finite number. @throws UserError naming the flag */
export function parseNumber(text: string, flag: string): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (Number.isFinite(value)) return value;
  throw new UserError(`${flag}: found "${text}", expected a number`);
}

/**
 * Settings from flags over a `--config` file over defaults.
 * @param estimation whether `steps` are those of the estimation where `estimateSteps` is not said as near: in the file, or by flags
 * @throws UserError naming flag or file and key, what was found and what was expected
 */
export async function readSettings(
  flags: Readonly<Record<string, unknown>>,
  { estimation = false } = {},
): Promise<Settings> {
  const file = typeof flags.config === 'string' ? flags.config : undefined;
  const fromFile = file === undefined ? {} : await readYaml(file);
  if (estimation && Number(fromFile.steps) > 0) fromFile.estimateSteps ??= fromFile.steps;
  const given = new Map(Object.entries(fromFile));
  const fromFlags = ALL_SETTINGS.filter((key) => flags[key] !== undefined && !isUntouched(key, flags[key]));
  for (const key of fromFlags) given.set(key, flags[key]);
  if (estimation && Number(flags.steps) > 0 && flags.estimateSteps === undefined)
    given.set('estimateSteps', flags.steps);
  const parsed = settingsSchema.safeParse(Object.fromEntries(given));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const key = String(issue?.path[0] ?? (issue?.code === 'unrecognized_keys' ? issue.keys[0] : ''));
  const isFlag = (fromFlags as readonly string[]).includes(key);
  const where = isFlag || file === undefined ? `--${flagName(key)}` : `${file}: key "${flagName(key)}"`;
  throw new UserError(`${where}: found ${JSON.stringify(given.get(key))}: ${issue?.message ?? 'not valid'}`);
}

/** A `--no-x` flag that was not given reads as true. */
function isUntouched(key: Key, value: unknown): boolean {
  return fieldOf(key).kind === 'boolean' && value === fieldOf(key).fallback;
}

/** Keys may be written as flags are (`lora-r`), with underscores, or in camel case. */
async function readYaml(path: string): Promise<Record<string, unknown>> {
  let content: unknown;
  try {
    content = parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new UserError(`${path}: cannot be read as YAML: ${(error as Error).message.split('\n')[0]}`);
  }
  const object = z.record(z.string(), z.unknown()).safeParse(content ?? {});
  if (!object.success) throw new UserError(`${path}: expected a mapping of settings such as "lora-r: 8"`);
  const camel = (key: string): string => key.replace(/[-_](\w)/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(object.data).map(([key, value]) => [camel(key), value]));
}
