/** Room: data/formats. Values of Parquet as JSON has them: numbers, texts, lists, objects, null. */
import type { ParquetParsers } from 'hyparquet';

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

/** @throws RangeError for an integer that a number cannot hold */
export function jsonValue(value: unknown): unknown {
  if (typeof value === 'bigint') return numberOf(value);
  if (typeof value !== 'object' || value === null) return value ?? null;
  if (Array.isArray(value)) return value.map(jsonValue);
  if (ArrayBuffer.isView(value)) return value;
  const object: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) object[key] = jsonValue(item);
  return object;
}

function numberOf(value: bigint): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new RangeError(`${value}, expected an integer within ±2⁵³`);
}
