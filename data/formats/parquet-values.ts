/** Room: data/formats. Values of Parquet as JSON has them: numbers, texts, lists, objects, null. */
import type { ParquetParsers, SchemaTree } from 'hyparquet';
import { markFloat } from '../../engine/io/json-floats.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

const DAY_MS = 86_400_000;

/** Dates and times as ISO 8601 has them; texts are UTF-8. */
export const PARSERS: Partial<ParquetParsers> = {
  stringFromBytes: (bytes) => {
    try {
      return utf8.decode(bytes);
    } catch {
      throw new Error('a text is not UTF-8');
    }
  },
  dateFromDays: (days) => new Date(days * DAY_MS).toISOString().slice(0, 10),
  timestampFromMilliseconds: (millis) => new Date(Number(millis)).toISOString(),
  timestampFromMicroseconds: (micros) => new Date(Number(micros / 1000n)).toISOString(),
  timestampFromNanoseconds: (nanos) => new Date(Number(nanos / 1_000_000n)).toISOString(),
};

/**
 * Whole numbers of floats within lists and objects are marked (`isWrittenFloat`); a column of floats itself is not.
 * @param tree the column's part of the schema @throws RangeError for an integer that a number cannot hold
 */
export function jsonValue(value: unknown, tree?: SchemaTree): unknown {
  if (typeof value === 'bigint') return numberOf(value);
  if (typeof value !== 'object' || value === null) return value ?? null;
  if (ArrayBuffer.isView(value)) return value;
  if (Array.isArray(value)) {
    const item = itemOf(tree);
    const list = value.map((one) => jsonValue(one, item));
    if (isFloat(item)) for (const [i, one] of list.entries()) markWhole(list, i, one);
    return list;
  }
  const object: Record<string, unknown> = {};
  for (const [key, one] of Object.entries(value)) {
    const member = memberOf(tree, key);
    object[key] = jsonValue(one, member);
    if (isFloat(member)) markWhole(object, key, one);
  }
  return object;
}

function markWhole(holder: object, key: string | number, value: unknown): void {
  if (Number.isInteger(value)) markFloat(holder, key);
}

function isFloat(tree: SchemaTree | undefined): boolean {
  const { type, logical_type: logical } = tree?.element ?? {};
  return type === 'DOUBLE' || type === 'FLOAT' || logical?.type === 'FLOAT16';
}

/** Of a list: a group of one repeated group around the item in new files, of the item in old ones. */
function itemOf(tree: SchemaTree | undefined): SchemaTree | undefined {
  const inner = tree?.children[0];
  return inner?.children.length === 1 ? inner.children[0] : (inner ?? tree);
}

/** Of an object, or the values of a map: a group of one repeated group of key and value. */
function memberOf(tree: SchemaTree | undefined, key: string): SchemaTree | undefined {
  const isMap = tree?.element.converted_type === 'MAP';
  return isMap ? tree.children[0]?.children[1] : tree?.children.find(({ element }) => element.name === key);
}

function numberOf(value: bigint): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new RangeError(`${value}, expected an integer within ±2⁵³`);
}
