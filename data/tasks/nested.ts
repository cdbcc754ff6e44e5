/** Room: data/tasks. What tasks read of nested records: objects, lists of them, and places in texts. Pure functions. */
import { UserError } from '../../engine/errors.ts';
import { preview, previewNames } from '../../engine/io/files.ts';
import type { Fields } from '../records.ts';

/** An object of columns. @throws UserError where it is none */
export function objectOf({ line, fields }: Fields, column: string, at: string): Fields {
  return asObject(fields[column], line, `${at}: "${column}"`);
}

/** A list of objects, each with its place for messages. @throws UserError where it is none */
export function objectsOf({ line, fields }: Fields, column: string, at: string): readonly [Fields, string][] {
  const values = fields[column];
  if (!Array.isArray(values)) {
    const found =
      values === undefined
        ? `found the columns ${previewNames(Object.keys(fields))}`
        : `"${column}" is ${preview(values)}`;
    throw new UserError(`${at}: ${found}; expected "${column}" with a list of objects`);
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
  const found =
    value === undefined ? `found the columns ${previewNames(Object.keys(fields))}` : `"${column}" is ${preview(value)}`;
  throw new UserError(`${at}: ${found}; expected "${column}" with an integer from 0`);
}
