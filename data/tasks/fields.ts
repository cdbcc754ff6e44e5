/** Room: data/tasks. What tasks read of records: texts, and labels in any of the spellings that their files have. Pure functions. */
import { UserError } from '../../engine/errors.ts';
import { preview } from '../../engine/io/files.ts';
import type { Fields } from '../records.ts';
import type { TaskRow } from './task.ts';

/** A column of text. @throws UserError where it is none */
export function textOf({ fields }: Fields, column: string, at: string): string {
  const value = fields[column];
  if (typeof value === 'string') return value;
  const found =
    value === undefined ? `no column "${column}", found ${namesIn(fields)}` : `"${column}" is ${preview(value)}`;
  throw new UserError(`${at}: ${found}; expected a text`);
}

function namesIn(fields: Fields['fields']): string {
  return Object.keys(fields).join(', ') || 'nothing';
}

/** Class names where a statement is true or not. */
export const TRUTH = ['False', 'True'];

/**
 * A class as its index: its name in any case, its index, for classes False and True a truth value; none where the column is absent, empty or
 * −1, as in test splits.
 * @param names in the order of indices
 * @throws UserError where it is none of them
 */
export function classOf(
  { fields }: Fields,
  names: readonly string[],
  at: string,
  column = 'label',
): { readonly label?: number } {
  const value = fields[column];
  if (isMissing(value)) return {};
  const index = indexOf(value, names);
  if (index !== undefined && index < names.length) return { label: index };
  const classes = names.map((name, i) => (name === String(i) ? name : `${name} (${i})`)).join(', ');
  throw new UserError(`${at}: "${column}" is ${preview(value)}, expected one of ${classes}`);
}

function indexOf(value: unknown, names: readonly string[]): number | undefined {
  const text = String(value).trim().toLowerCase();
  const named = names.findIndex((name) => name.toLowerCase() === text);
  if (named >= 0) return named;
  return typeof value !== 'object' && /^\d+(\.0+)?$/.test(text) ? Number(text) : undefined;
}

/** The benchmark's number of a row, which submissions name; nothing where it has none. */
export function idxOf({ fields }: Fields): { readonly idx?: unknown } {
  return isMissing(fields.idx) ? {} : { idx: fields.idx };
}

/** An object of columns. @throws UserError where it is none */
export function objectOf({ line, fields }: Fields, column: string, at: string): Fields {
  return asObject(fields[column], line, `${at}: "${column}"`);
}

/** A list of objects, each with its place for messages. @throws UserError where it is none */
export function objectsOf({ line, fields }: Fields, column: string, at: string): readonly [Fields, string][] {
  const values = fields[column];
  if (!Array.isArray(values)) {
    const found =
      values === undefined ? `no list "${column}", found ${namesIn(fields)}` : `"${column}" is ${preview(values)}`;
    throw new UserError(`${at}: ${found}; expected a list of objects`);
  }
  return values.map((value: unknown, i) => {
    const place = `${at}: "${column}" entry ${i}`;
    return [asObject(value, line, place), place];
  });
}

function asObject(value: unknown, line: number, at: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return { line, fields: value as Fields['fields'] };
  throw new UserError(`${at} is ${preview(value)}, expected an object`);
}

/** A number from 0, as the place of a word. @throws UserError where it is none */
export function placeOf({ fields }: Fields, column: string, at: string): number {
  const value = fields[column];
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && Number.isInteger(number) && number >= 0) return number;
  throw new UserError(`${at}: "${column}" is ${preview(value)}, expected an integer from 0`);
}

/** A number to predict; none where the column is absent or empty. @throws UserError where it is no number */
export function numberOf({ fields }: Fields, column: string, at: string): { readonly label?: number } {
  const value = fields[column];
  if (isMissing(value)) return {};
  const number = typeof value === 'string' ? Number(value) : value;
  if (typeof number === 'number' && Number.isFinite(number)) return { label: number };
  throw new UserError(`${at}: "${column}" is ${preview(value)}, expected a number`);
}

function isMissing(value: unknown): boolean {
  return value === undefined || value === null || value === '' || value === -1 || value === '-1';
}

/** The class of a row by its name; nothing where it is not known. */
export function labelled({ label }: TaskRow, names: readonly string[]): { readonly label?: string } {
  return label === undefined ? {} : { label: names[label as number]! };
}

/** A name in lower case without separators. */
export function plainName(name: string): string {
  return name.toLowerCase().replace(/[-_.\s]/g, '');
}
