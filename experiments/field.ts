/** Room: experiments. What a place for text needs to know of an option's schema, and how the text becomes the option's value. */
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';

export interface Field {
  readonly kind: 'number' | 'boolean' | 'text';
  readonly choices?: readonly string[] | undefined;
  readonly fallback: unknown;
  readonly description: string;
  /** From text, or from a value of a YAML file. @param where names it in errors */
  readonly decode: (given: unknown, where: string) => unknown;
}

type Form = Pick<Field, 'kind' | 'choices' | 'decode'>;

export function fieldOf(outer: z.ZodType): Field {
  const inner = outer instanceof z.ZodDefault || outer instanceof z.ZodOptional ? (outer.unwrap() as z.ZodType) : outer;
  const fallback = outer.safeParse(undefined).data;
  return { ...formOf(inner), fallback, description: outer.description ?? '' };
}

function formOf(schema: z.ZodType): Form {
  if (schema instanceof z.ZodBoolean) return { kind: 'boolean', decode: truth };
  if (schema instanceof z.ZodEnum)
    return { kind: 'text', choices: schema.options.map(String), decode: (given) => given };
  if (schema instanceof z.ZodArray) {
    const item = schema.element instanceof z.ZodNumber ? numberOf : nameOf;
    return { kind: 'text', decode: (given) => items(given).map(item) };
  }
  if (schema instanceof z.ZodRecord)
    return { kind: 'text', decode: schema.valueType instanceof z.ZodString ? names : pattern };
  if (schema instanceof z.ZodUnion) return unionForm(schema.options as readonly z.ZodType[]);
  return schema instanceof z.ZodNumber ? { kind: 'number', decode: numberOf } : { kind: 'text', decode: nameOf };
}

/** A union is written as one of its words, a number, or names. */
function unionForm(options: readonly z.ZodType[]): Form {
  const isOneOf = (type: abstract new (...args: never[]) => z.ZodType): boolean =>
    options.some((o) => o instanceof type);
  const words = options.flatMap((o) => (o instanceof z.ZodEnum ? o.options.map(String) : []));
  if (isOneOf(z.ZodBoolean)) return { kind: 'text', choices: ['true', 'false', ...words], decode: truth };
  if (isOneOf(z.ZodNumber) && isOneOf(z.ZodArray))
    return { kind: 'text', decode: (given, where) => numbersOrWord(given, words, where) };
  if (isOneOf(z.ZodNumber)) return { kind: 'text', decode: (given, where) => numberOrWord(given, words, where) };
  return { kind: 'text', decode: (given) => (typeof given === 'string' ? nameRule(given) : items(given).map(nameOf)) };
}

const TRUTHS: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  false: false,
  no: false,
  off: false,
};

/** What YAML and people write for true and false; anything else as it is. */
export function truth(given: unknown): unknown {
  return (typeof given === 'string' ? TRUTHS[given.trim().toLowerCase()] : undefined) ?? given;
}

/** A number written as text; anything else as it is. */
function numberOf(given: unknown): unknown {
  const value = typeof given === 'string' && given.trim() !== '' ? Number(given) : NaN;
  return Number.isFinite(value) ? value : given;
}

/** A name that YAML takes for a number is a name. */
function nameOf(given: unknown): unknown {
  return typeof given === 'number' ? String(given) : given;
}

function numberOrWord(given: unknown, words: readonly string[], where: string): unknown {
  const value = numberOf(given);
  if (typeof value !== 'string' || words.includes(value)) return value;
  throw new UserError(`${where}: found "${value}", expected a number, ${words.join(' or ')}`);
}

/** A number or a word, or several numbers separated by commas. */
function numbersOrWord(given: unknown, words: readonly string[], where: string): unknown {
  const all = items(given).map((item) => numberOrWord(item, words, where));
  return all.length === 1 ? all[0] : all;
}

/** Names separated by commas, one word that stands for several, or one regular expression: a text with characters that names do not have. */
function nameRule(text: string): unknown {
  return text === 'all-linear' || text === 'default' || /[\\^$*+?()[\]{}|]/.test(text) ? text : items(text);
}

/** A list, a single item, or items separated by commas. */
function items(given: unknown): unknown[] {
  return typeof given === 'string' ? given.split(',').map((name) => name.trim()) : [given].flat();
}

/** `query=2,output.dense=16`, a mapping of the same, or a list of either. */
function pattern(given: unknown, where: string): unknown {
  const entries = items(given).flatMap((item): [string, unknown][] => {
    if (typeof item === 'string') return [entry(item, where)];
    if (typeof item === 'object' && item !== null) return Object.entries(item);
    throw new UserError(`${where}: found ${JSON.stringify(item)}, expected NAME=NUMBER`);
  });
  return Object.fromEntries(entries.map(([name, value]) => [name, numberOf(value)]));
}

/** `text=sentence,label=score`, or a mapping of the same. */
function names(given: unknown, where: string): unknown {
  const entries = items(given).flatMap((item): [string, unknown][] => {
    if (typeof item === 'object' && item !== null) return Object.entries(item);
    const [, name, column] = /^([^=]+)=(.+)$/.exec(String(item)) ?? [];
    if (name !== undefined) return [[name.trim(), column!.trim()]];
    throw new UserError(`${where}: found ${JSON.stringify(item)}, expected NAME=COLUMN`);
  });
  return Object.fromEntries(entries);
}

function entry(text: string, where: string): [string, number] {
  const at = text.lastIndexOf('=');
  const value = Number(text.slice(at + 1));
  if (at > 0 && value > 0) return [text.slice(0, at), value];
  throw new UserError(`${where}: found "${text}", expected NAME=NUMBER`);
}
