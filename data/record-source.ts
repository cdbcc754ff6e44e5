/** Room: data. Records of data, wherever they come from: a file, several, a task's split, or a part of these. Reads the files it is given. */
import type { OnBytes } from '../engine/io/load.ts';
import { readBatches, type Dialect, type Fields } from './records.ts';

/** How many items a part has, and how many there were to draw it from. */
export interface Share {
  readonly count: number;
  readonly total: number;
}

/** What can be read as often as asked for. */
export interface Source<T> {
  /** Where it comes from, for messages: the path of a file. */
  readonly path: string;
  /** Some at a time, so that waiting costs once for many. @throws UserError with file and line */
  readonly read: (onBytes?: OnBytes) => AsyncIterable<readonly T[]>;
  /** Of a drawn part, once it has been read to its end. */
  readonly share?: () => Share | undefined;
}

/** Records by column. */
export type RecordSource = Source<Fields>;

/** Of a file. */
function fileSource(path: string, dialect?: Dialect): RecordSource {
  return { path, read: (onBytes) => readBatches(path, { onBytes, dialect }) };
}

/** Of files that are parts of one, at least one. */
export function filesSource(paths: readonly string[]): RecordSource {
  const [first, ...others] = paths.map((path) => fileSource(path));
  if (others.length === 0) return first!;
  return {
    path: first!.path,
    read: async function* (onBytes) {
      for (const { read } of [first!, ...others]) yield* read(onBytes);
    },
  };
}

/** Of the path of a file, or records from elsewhere. */
export function sourceOf(given: string | RecordSource): RecordSource {
  return typeof given === 'string' ? fileSource(given) : given;
}

/** What `map` makes of every item. */
export function mapped<T, U>({ path, read }: Source<T>, map: (item: T) => readonly U[]): Source<U> {
  return {
    path,
    read: async function* (onBytes) {
      for await (const items of read(onBytes)) yield items.flatMap(map);
    },
  };
}

/** Items one by one. */
export async function* itemsOf<T>({ read }: Source<T>, onBytes?: OnBytes): AsyncGenerator<T> {
  for await (const items of read(onBytes)) yield* items;
}

/**
 * What `parse` makes of every record.
 * @param parserFor is given the first record, which tells the kind of all
 */
export async function* parseRecords<T>(
  { read }: RecordSource,
  parserFor: (first: Fields) => (record: Fields) => readonly T[],
  onBytes?: OnBytes,
): AsyncGenerator<T> {
  let parser: ReturnType<typeof parserFor> | undefined;
  for await (const records of read(onBytes)) {
    for (const record of records) {
      parser ??= parserFor(record);
      for (const row of parser(record)) yield row;
    }
  }
}
