/**
 * Room: cli. `--config`: a YAML file with any flag of the command but this one, as natural YAML: lists, mappings, booleans and numbers.
 * Flags on the command line win over it.
 */
import { readFileSync } from 'node:fs';
import { Command, type Option } from 'commander';
import { parse } from 'yaml';
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { fileError, preview } from '../engine/io/files.ts';
import { didYouMean } from '../engine/nearest.ts';
import { truth } from '../experiments/field.ts';
import { camelCase, flagName, settingKey, SETTINGS } from '../experiments/settings.ts';

/** A file's content by keys in camel case. */
export interface ConfigFile {
  readonly path: string;
  readonly content: Readonly<Record<string, unknown>>;
}

/**
 * Keys may be written as flags are (`lora-r`, `no-shuffle`), with underscores, or in camel case; a key without a value is as if not there.
 * @throws UserError where it is not YAML, or no mapping
 */
export function parseConfig(path: string, text: string): ConfigFile {
  let content: unknown;
  try {
    content = parse(text);
  } catch (error) {
    throw new UserError(`${path}: cannot be read as YAML: ${(error as Error).message.split('\n')[0]}`);
  }
  const object = z.record(z.string(), z.unknown()).safeParse(content ?? {});
  if (!object.success) throw new UserError(`${path}: expected a mapping of settings such as "lora-r: 8"`);
  const given = Object.entries(object.data).filter(([, value]) => value !== null);
  return { path, content: Object.fromEntries(given.map(([key, value]) => positive(camelCase(key), value))) };
}

/** `no-shuffle: true` is `shuffle: false`. */
function positive(key: string, value: unknown): [string, unknown] {
  const name = /^no[A-Z]/.test(key) ? key[2]!.toLowerCase() + key.slice(3) : undefined;
  return name && SETTINGS.get(name)?.kind === 'boolean' && typeof truth(value) === 'boolean'
    ? [name, !truth(value)]
    : [key, value];
}

/** @throws UserError for a key that is neither a setting nor one of `others`, with the nearest that is */
export function assertKnown({ path, content }: ConfigFile, others: readonly string[]): void {
  const known = [...SETTINGS.keys(), ...others];
  const unknown = Object.keys(content).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  const own = settingKey(unknown);
  const near =
    own === unknown ? didYouMean(unknown, known, (key) => `"${flagName(key)}"`) : `, did you mean "${flagName(own)}"?`;
  throw new UserError(`${path}: key "${flagName(unknown)}": not a setting${near}`);
}

/** A command that takes the flags that `--config` holds as if they were given. */
export class ConfigurableCommand extends Command {
  override createCommand(name?: string): Command {
    return new ConfigurableCommand(name);
  }

  override parseOptions(argv: string[]): ReturnType<Command['parseOptions']> {
    const parsed = super.parseOptions(argv);
    const [unknown] = parsed.unknown;
    // What follows the name of a command of this one's is for that.
    if (this.commands.some((command) => command.name() === parsed.operands[0])) return parsed;
    if (this.parent && unknown !== undefined && !/^(-h|--help)$/.test(unknown)) this.#refuse(unknown);
    const path: unknown = this.getOptionValue('config');
    if (typeof path === 'string') this.#take(parseConfig(path, read(path)));
    return parsed;
  }

  /** Before anything is said of flags that are missing: the unknown one may be meant to be one of them. */
  #refuse(unknown: string): never {
    const [flag = ''] = unknown.split('=');
    const key = settingKey(camelCase(flag.replace(/^-+/, '')));
    const known = this.options.flatMap(({ long }) => long ?? []);
    const near = didYouMean(`--${flagName(key)}`, known, (name) => name);
    this.error(`error: unknown option '${flag}'${near}`);
  }

  /** Sets flags that are no settings; the settings stay for `readSettings`. */
  #take(file: ConfigFile): void {
    const flags = (this.parent?.commands ?? [this]).flatMap(({ options }) => options.flatMap(keysOf));
    assertKnown(
      file,
      flags.filter((key) => key !== 'config'),
    );
    for (const option of this.options) {
      const name = option.attributeName();
      const key = keysOf(option).find((one) => one in file.content);
      if (SETTINGS.has(name) || key === undefined || this.getOptionValueSource(name) === 'cli') continue;
      const value = flagValue(option, file.content[key], `${file.path}: key "${flagName(key)}"`);
      this.setOptionValueWithSource(name, value, 'config');
    }
    const settings = Object.entries(file.content).filter(([key]) => SETTINGS.has(key));
    this.setOptionValue('config', { path: file.path, content: Object.fromEntries(settings) } satisfies ConfigFile);
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError(path, error);
  }
}

/** What a flag is called, in camel case: some have two names. */
function keysOf(option: Option): string[] {
  const names = [...option.flags.matchAll(/--(\S+)(?=,|\s|$)/g)].map(([, name]) => camelCase(name!.replace(/,$/, '')));
  return [...new Set([option.attributeName(), ...names])];
}

/** For flags that may be given again. */
export function collect(one: string, others: readonly string[] = []): string[] {
  return [...others, one];
}

/** A value of the file as the flag would have it. */
function flagValue(option: Option, given: unknown, where: string): unknown {
  if (option.isBoolean()) {
    const value = truth(given);
    if (typeof value === 'boolean') return value;
    throw new UserError(`${where}: found ${preview(given)}, expected true or false`);
  }
  const texts = textsOf(given, where);
  const { parseArg } = option;
  if (parseArg === collect) return texts;
  const isList = /<list>/.test(option.flags);
  if (texts.length !== 1 && !isList) throw new UserError(`${where}: found ${preview(given)}, expected one value`);
  const text = texts.join(',');
  return parseArg ? parseArg<unknown>(text, undefined) : text;
}

/** A list, a mapping, or one item, as texts. */
export function textsOf(given: unknown, where: string): string[] {
  return itemsOf(given).map((item) => {
    if (typeof item === 'string' || typeof item === 'number' || typeof item === 'boolean') return String(item);
    throw new UserError(`${where}: found ${preview(item)}, expected a text or a number`);
  });
}

/** A mapping is a list of NAME=VALUE. */
function itemsOf(given: unknown): readonly unknown[] {
  if (Array.isArray(given) || typeof given !== 'object' || given === null) return [given].flat();
  return Object.entries(given).map(([name, value]) => `${name}=${String(value)}`);
}
