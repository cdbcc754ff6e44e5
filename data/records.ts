/** Room: data. Data files record by record, whatever their format. Errors name file and line. */
import { extname } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { readJson } from './formats/json.ts';
import { readJsonLines } from './formats/json-lines.ts';
import type { Fields, Reader, RecordOptions } from './formats/record.ts';
import { readParquet } from './formats/parquet.ts';
import { readParquetFeatures } from './formats/parquet-file.ts';
import { tableReader } from './formats/table.ts';

export type { Dialect, Fields, RecordOptions } from './formats/record.ts';

const READERS: Record<string, Reader> = {
  '.jsonl': readJsonLines,
  '.ndjson': readJsonLines,
  '.json': readJson,
  '.csv': tableReader(','),
  '.tsv': tableReader('\t'),
  '.parquet': readParquet,
};

/**
 * The records of a data file, whatever their columns, while it is read.
 * @throws UserError with file and line; for an unknown ending, and for a file without records
 */
export async function* readRecords(path: string, options: RecordOptions = {}): AsyncGenerator<Fields> {
  for await (const records of readBatches(path, options)) yield* records;
}

/** Records as they come, so that waiting costs once for many. */
export async function* readBatches(path: string, options: RecordOptions): AsyncGenerator<readonly Fields[]> {
  const reader = READERS[formatOf(path)];
  if (!reader) throw new UserError(`${path}: unknown ending, expected one of ${Object.keys(READERS).join(', ')}`);
  let isEmpty = true;
  for await (const records of reader(path, options)) {
    isEmpty &&= records.length === 0;
    yield records;
  }
  if (isEmpty) throw new UserError(`${path}: empty, expected at least one example`);
}

/** Whether a file's name has the ending of a format that is read. */
export function isDataFile(name: string): boolean {
  return formatOf(name) in READERS;
}

/**
 * Names of the classes that a column's integers stand for, by column: the `ClassLabel`s of a Parquet file that Hugging Face's `datasets` wrote,
 * whose −1 means that the class is not known. None in files of other formats.
 * @throws UserError where a Parquet file is missing or damaged
 */
export async function readFeatures(path: string): Promise<Readonly<Record<string, readonly string[]>>> {
  return formatOf(path) === '.parquet' ? readParquetFeatures(path) : {};
}

/** The ending of a file's name that tells the format: `.csv` of `a.csv` and of `a.CSV.gz`. */
export function formatOf(path: string): string {
  const name = path.toLowerCase();
  return extname(name.endsWith('.gz') ? name.slice(0, -3) : name);
}
