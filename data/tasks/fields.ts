/** Room: data/tasks. What tasks read of records: texts, and labels in any of the spellings that their files have. Pure functions. */
import { UserError } from '../../engine/errors.ts';
import { preview, previewNames } from '../../engine/io/files.ts';
import type { Fields } from '../records.ts';
import type { TaskRow } from './task.ts';

/** A column of text. @param columns its names in the layouts @throws UserError where it is none */
export function textOf({ fields }: Fields, columns: Columns, at: string): string {
  const column = columnOf(fields, columns);
  if (column === undefined) {
    const there = previewNames(Object.keys(fields));
    throw new UserError(`${at}: found the columns ${there}; expected ${listed(columns)} with a text`);
  }
  const value = fields[column];
  if (typeof value === 'string') return value;
  throw new UserError(`${at}: "${column}" is ${preview(value)}, expected a text`);
}

/** A name, or several of which a file has one. */
type Columns = string | readonly string[];

function columnOf(fields: Fields['fields'], columns: Columns): string | undefined {
  return [columns].flat().find((name) => fields[name] !== undefined);
}

function listed(columns: Columns): string {
  return [columns]
    .flat()
    .map((name) => `"${name}"`)
    .join(' or ');
}

/** The number of a row, where it has one. */
export function indexOf({ fields }: Fields, columns: Columns): { readonly idx?: number } {
  const value = fields[columnOf(fields, columns) ?? ''];
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return Number.isInteger(number) ? { idx: number as number } : {};
}

/** Class names of what is true or not. */
export const TRUTH = ['False', 'True'];

/**
 * A class as its index: its name in any case, its index, for the classes False and True a truth value; none where the column is absent,
 * empty or −1, as in test splits.
 * @param names in the order of indices
 * @throws UserError where it is none of them
 */
export function classOf(
  { fields }: Fields,
  names: readonly string[],
  at: string,
  columns: Columns = 'label',
): { readonly label?: number } {
  const column = columnOf(fields, columns);
  const value = column === undefined ? undefined : fields[column];
  if (isMissing(value)) return {};
  const index = classIndex(value, names);
  if (index !== undefined && index < names.length) return { label: index };
  const classes = names.map((name, i) => (name === String(i) ? name : `${name} (${i})`)).join(', ');
  throw new UserError(`${at}: "${column}" is ${preview(value)}, expected one of ${classes}`);
}

function classIndex(value: unknown, names: readonly string[]): number | undefined {
  if (!['string', 'number', 'boolean'].includes(typeof value)) return undefined;
  const text = (typeof value === 'string' ? value : JSON.stringify(value)).trim().toLowerCase();
  const named = names.findIndex((name) => name.toLowerCase() === text);
  if (named >= 0) return named;
  return /^\d+(\.0+)?$/.test(text) ? Number(text) : undefined;
}

/** A number to predict, from 0; none where the column is absent or empty. @throws UserError where it is no number, or above `most` */
export function numberOf({ fields }: Fields, columns: Columns, at: string, most: number): { readonly label?: number } {
  const column = columnOf(fields, columns);
  const value = column === undefined ? undefined : fields[column];
  if (isMissing(value)) return {};
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && number >= 0 && number <= most) return { label: number };
  throw new UserError(`${at}: "${column}" is ${preview(value)}, expected a number from 0 to ${most}`);
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
