/**
 * Room: cli. Flags made from the options that every room declares, and flags and `--config` files turned back into options. The only
 * place that knows flags.
 */
import { readFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import { UserError } from '../engine/errors.ts';
import { fileError } from '../engine/io/files.ts';
import type { RunOptions } from '../experiments/options.ts';
import { flagName, parseSettings, settingKey, SETTINGS, type Setting } from '../experiments/settings.ts';
import { assertKnown, parseConfig, type ConfigFile } from './config-file.ts';
import { warnOfOthers, type StageName } from './stage-settings.ts';

/** Characters of choices beside a flag; longer ones stand in its description. */
const LONGEST_CHOICES = 18;

/** Adds the flags of some options, and `--config`, to a command. @param keys of flags, in camel case; absent: all */
export function addSettings(command: Command, keys: readonly string[] = [...SETTINGS.keys()]): Command {
  for (const key of keys) command.addOption(optionOf(SETTINGS.get(key)!));
  return command.option('--config <file>', 'YAML file with any of these options; flags win over it');
}

function optionOf({ key, kind, choices, fallback, description }: Setting): Option {
  const name = flagName(key);
  const text = description.replace(/`(\w+)`/g, (_, option: string) => `--${flagName(settingKey(option))}`);
  if (kind === 'boolean') {
    return fallback === true ? new Option(`--no-${name}`, `do not ${text}`) : new Option(`--${name}`, text);
  }
  const shown =
    fallback === undefined
      ? ''
      : ` (default: ${typeof fallback === 'number' ? round(fallback) : JSON.stringify(fallback).replaceAll('"', '')})`;
  const words = choices?.join('|') ?? '';
  const fits = words.length > 0 && words.length <= LONGEST_CHOICES;
  const value = fits ? words : kind === 'number' ? 'n' : 'value';
  const listed = choices && !fits ? `: ${choices.join(', ')}` : '';
  const option = new Option(`--${name} <${value}>`, text + listed + shown);
  return kind === 'number' ? option.argParser((given) => parseNumber(given, `--${name}`)) : option;
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
 * Options from flags over a `--config` file over defaults. In `estimate`, `steps` are those of the estimation where `estimateSteps` is not said
 * as near: in the file, or by flags.
 * @param stage the command, where it is that of one stage: a warning tells flags that it does not read
 * @throws UserError naming flag or file and key, what was found and what was expected
 */
export async function readSettings(flags: Readonly<Record<string, unknown>>, stage?: StageName): Promise<RunOptions> {
  const estimation = stage === 'estimate';
  const file =
    typeof flags.config === 'string' ? await wholeFile(flags.config) : (flags.config as ConfigFile | undefined);
  const fromFile = { ...file?.content };
  if (estimation && Number(fromFile.steps) > 0) fromFile.estimateSteps ??= fromFile.steps;
  const given = new Map(Object.entries(fromFile));
  const said = [...SETTINGS.values()].filter((s) => flags[s.key] !== undefined && !isUntouched(s, flags));
  const fromFlags = new Set(said.map(({ key }) => key));
  for (const key of fromFlags) given.set(key, flags[key]);
  if (estimation && Number(flags.steps) > 0 && flags.estimateSteps === undefined)
    given.set('estimateSteps', flags.steps);
  const where = (key: string): string =>
    fromFlags.has(key) || file === undefined ? `--${flagName(key)}` : `${file.path}: key "${flagName(key)}"`;
  const options = parseSettings(given, where);
  if (stage) warnOfOthers(stage, fromFlags);
  return options;
}

/** A file of settings alone. */
async function wholeFile(path: string): Promise<ConfigFile> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(path, error);
  });
  const file = parseConfig(path, text);
  assertKnown(file, []);
  return file;
}

/** A `--no-x` flag that was not given reads as true. */
function isUntouched({ kind, key, fallback }: Setting, flags: Readonly<Record<string, unknown>>): boolean {
  return kind === 'boolean' && flags[key] === fallback;
}
