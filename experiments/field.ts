/** Room: experiments. What a place for text needs to know of an option's schema, and how the text becomes the option's value. */
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';

export interface Field {
  readonly kind: 'number' | 'boolean' | 'text';
  readonly choices?: readonly string[] | undefined;
  readonly fallback: unknown;
  readonly description: string;
  /** From text, or a value of a YAML file. @param where names it in errors */
  readonly decode: (given: unknown, where: string) => unknown;
}

export function fieldOf(outer: z.ZodType): Field {
  const inner = outer instanceof z.ZodDefault || outer instanceof z.ZodOptional ? (outer.unwrap() as z.ZodType) : outer;
  const fallback = outer.safeParse(undefined).data;
  return { ...formOf(inner), fallback, description: outer.description ?? '' };
}

function formOf(schema: z.ZodType): Pick<Field, 'kind' | 'choices' | 'decode'> {
  const asGiven = (given: unknown): unknown => given;
  if (schema instanceof z.ZodBoolean) return { kind: 'boolean', decode: asGiven };
  if (schema instanceof z.ZodEnum) return { kind: 'text', choices: schema.options.map(String), decode: asGiven };
  if (schema instanceof z.ZodArray) {
    const numbers = schema.element instanceof z.ZodNumber;
    return { kind: 'text', decode: (given) => (typeof given === 'string' ? list(given, numbers) : [given].flat()) };
  }
  if (schema instanceof z.ZodRecord) return { kind: 'text', decode: pattern };
  if (schema instanceof z.ZodUnion) return unionForm(schema.options as readonly z.ZodType[]);
  return { kind: schema instanceof z.ZodNumber ? 'number' : 'text', decode: asGiven };
}

/** A union is written as one of its words, a number, or names. */
function unionForm(options: readonly z.ZodType[]): Pick<Field, 'kind' | 'choices' | 'decode'> {
  const isOneOf = (type: abstract new (...args: never[]) => z.ZodType): boolean =>
    options.some((o) => o instanceof type);
  const words = options.flatMap((o) => (o instanceof z.ZodEnum ? o.options.map(String) : []));
  if (isOneOf(z.ZodBoolean)) {
    const decode = (given: unknown): unknown => (given === 'true' || given === 'false' ? given === 'true' : given);
    return { kind: 'text', choices: ['true', 'false', ...words], decode };
  }
  if (isOneOf(z.ZodNumber)) return { kind: 'text', decode: (given, where) => numberOrWord(given, words, where) };
  return { kind: 'text', decode: (given) => (typeof given === 'string' ? nameRule(given) : given) };
}

function numberOrWord(given: unknown, words: readonly string[], where: string): unknown {
  if (typeof given !== 'string' || words.includes(given)) return given;
  const value = given.trim() === '' ? NaN : Number(given);
  if (Number.isFinite(value)) return value;
  throw new UserError(`${where}: found "${given}", expected a number, ${words.join(' or ')}`);
}

/** Names separated by commas, one word that stands for several, or one regular expression: a text with characters that names do not have. */
function nameRule(text: string): string | string[] {
  return text === 'all-linear' || text === 'default' || /[\\^$*+?()[\]{}|]/.test(text) ? text : names(text);
}

function list(text: string, numbers: boolean): string[] | number[] {
  return numbers ? names(text).map(Number) : names(text);
}

function names(text: string): string[] {
  return text.split(',').map((name) => name.trim());
}

/** `query=2,output.dense=16` */
function pattern(given: unknown, where: string): unknown {
  if (typeof given !== 'string') return given;
  return Object.fromEntries(
    names(given).map((entry) => {
      const at = entry.lastIndexOf('=');
      const value = Number(entry.slice(at + 1));
      if (at > 0 && value > 0) return [entry.slice(0, at), value];
      throw new UserError(`${where}: found "${entry}", expected NAME=NUMBER`);
    }),
  );
}
