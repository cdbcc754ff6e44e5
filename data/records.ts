/** Room: data. Data files record by record: JSON lines, CSV and TSV. Errors name file and line. Reads the files it is given. */
import { extname } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { UserError } from '../engine/errors.ts';
import { preview } from '../engine/io/files.ts';
import type { OnBytes } from '../engine/io/load.ts';
import { LONGEST_LINE, readLines, readPieces, tooLong } from '../engine/io/text.ts';

/** A line of a file, by column. */
export interface Fields {
  readonly line: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

type Reader = (path: string, onBytes?: OnBytes) => AsyncGenerator<Fields>;

const READERS: Record<string, Reader> = {
  '.jsonl': readJsonLines,
  '.ndjson': readJsonLines,
  '.json': readJsonLines,
  '.csv': (path, onBytes) => readTable(path, ',', onBytes),
  '.tsv': (path, onBytes) => readTable(path, '\t', onBytes),
};

/**
 * The records of a data file, whatever their columns, while it is read.
 * @param onBytes is told how much has been read
 * @throws UserError with file and line; for an unknown ending, and for a file without records
 */
export async function* readRecords(path: string, onBytes?: OnBytes): AsyncGenerator<Fields> {
  const reader = READERS[extname(path).toLowerCase()];
  if (!reader) throw new UserError(`${path}: unknown ending, expected one of ${Object.keys(READERS).join(', ')}`);
  let isEmpty = true;
  for await (const record of reader(path, onBytes)) {
    isEmpty = false;
    yield record;
  }
  if (isEmpty) throw new UserError(`${path}: empty, expected at least one example`);
}

/**
 * What `parse` makes of every record of a file.
 * @param parserFor is given the first record, which tells the kind of all
 */
export async function* parseRecords<T>(
  path: string,
  parserFor: (first: Fields) => (record: Fields) => readonly T[],
  onBytes?: OnBytes,
): AsyncGenerator<T> {
  let parser: ReturnType<typeof parserFor> | undefined;
  for await (const record of readRecords(path, onBytes)) {
    parser ??= parserFor(record);
    for (const row of parser(record)) yield row;
  }
}

async function* readJsonLines(path: string, onBytes?: OnBytes): AsyncGenerator<Fields> {
  for await (const { line, text } of readLines(path, onBytes)) {
    if (text.trim() === '') continue;
    const expected = 'expected one object per line such as {"text": "…", "label": 0}';
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new UserError(`${path}:${line}: not JSON, ${expected}`);
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new UserError(`${path}:${line}: found ${preview(value)}, ${expected}`);
    yield { line, fields: value as Record<string, unknown> };
  }
}

interface TableRecord {
  readonly record: readonly string[];
  /** The parser counts lines at the record's end. */
  readonly info: { readonly lines: number };
}

/** A table with a header line. CSV quotes fields as RFC 4180; a TSV record is always one line. */
async function* readTable(path: string, delimiter: ',' | '\t', onBytes?: OnBytes): AsyncGenerator<Fields> {
  const parser = parse({
    delimiter,
    quote: delimiter === ',' ? '"' : null,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: LONGEST_LINE,
  });
  // An error of either is the parser's.
  pipeline(Readable.from(readPieces(path, onBytes)), parser, () => undefined);
  let names: readonly string[] | undefined;
  let end = 0;
  try {
    for await (const { record, info } of parser as AsyncIterable<TableRecord>) {
      const breaks = record.reduce((sum, field) => sum + (field.includes('\n') ? field.split('\n').length - 1 : 0), 0);
      const line = info.lines - breaks;
      end = info.lines;
      const values = delimiter === '\t' ? record.map(unquote) : record;
      if (names) yield { line, fields: fieldsOf(`${path}:${line}`, names, values) };
      else names = columnNames(`${path}:${line}`, values);
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    if (error.code === 'CSV_MAX_RECORD_SIZE') throw tooLong(`${path}:${end + 1}`, 'field');
    throw new UserError(`${path}: not valid CSV: ${error.message}`);
  }
}

/** @throws UserError where two columns have one name */
function columnNames(at: string, header: readonly string[]): readonly string[] {
  const names = header.map((name) => name.trim());
  const twice = names.find((name, i) => name !== '' && names.indexOf(name) !== i);
  if (twice === undefined) return names;
  throw new UserError(`${at}: two columns are named "${twice}", expected every name once; rename or remove one`);
}

function fieldsOf(at: string, names: readonly string[], values: readonly string[]): Fields['fields'] {
  if (values.length !== names.length)
    throw new UserError(`${at}: found ${values.length} fields, expected ${names.length} (${names.join(', ')})`);
  return Object.fromEntries(names.map((name, i) => [name, values[i]]));
}

/** Many writers of TSV quote a field; a lone quotation mark is text. */
function unquote(field: string): string {
  return /^".*"$/.test(field) && field.length > 1 ? field.slice(1, -1).replaceAll('""', '"') : field;
}
