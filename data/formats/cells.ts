/** Room: data/formats. From a table's text to its cells: with the quoting of RFC 4180, or without any. Reads the file it is given. */
import { finished } from 'node:stream/promises';
import { CsvError, Parser } from 'csv-parse';
import { UserError } from '../../engine/errors.ts';
import type { OnBytes } from '../../engine/io/load.ts';
import { firstBreak, LONGEST_LINE, readLines, readPieces, tooLong, type LineBreak } from '../../engine/io/text.ts';

export type Delimiter = ',' | '\t';

/** A record, or the header. */
export interface TableRow {
  /** Where it begins, from 1. */
  readonly line: number;
  readonly values: readonly string[];
}

/** The rows of a table whose quotation marks are text. Blank lines are none. */
export async function* unquotedRows(
  path: string,
  delimiter: Delimiter,
  onBytes?: OnBytes,
): AsyncGenerator<readonly TableRow[]> {
  for await (const { line, texts } of readLines(path, onBytes)) {
    const rows: TableRow[] = [];
    for (const [i, text] of texts.entries())
      if (text !== '') rows.push({ line: line + i, values: text.split(delimiter) });
    yield rows;
  }
}

/**
 * The rows of a table that quotes fields as RFC 4180: line breaks and delimiters in them are text, and two marks are one. A mark within a
 * field that does not begin with one is text. Blank lines are none.
 */
export async function* quotedRows(
  path: string,
  delimiter: Delimiter,
  onBytes?: OnBytes,
): AsyncGenerator<readonly TableRow[]> {
  let rows: TableRow[] = [];
  let line = 1;
  let parser: RecordParser | undefined;
  const onRecord = (values: readonly string[]): void => {
    if (values.length > 1 || values[0] !== '') rows.push({ line, values });
    line += 1 + breaksIn(values);
  };
  try {
    for await (const piece of readPieces(path, onBytes)) {
      parser ??= new RecordParser(delimiter, firstBreak(piece), onRecord);
      await parser.add(piece);
      yield rows;
      rows = [];
    }
    await parser?.finish();
    yield rows;
  } catch (error) {
    throw error instanceof CsvError ? faultOf(path, line, error) : error;
  }
}

/** Gives records at once, past the stream's buffer: each before a fault that follows it. */
class RecordParser extends Parser {
  readonly #onRecord: (values: readonly string[]) => void;

  constructor(delimiter: Delimiter, lineBreak: LineBreak | undefined, onRecord: (values: readonly string[]) => void) {
    super({
      delimiter,
      record_delimiter: lineBreak === '\r' ? '\r' : ['\r\n', '\n'],
      relax_column_count: true,
      relax_quotes: true,
      max_record_size: LONGEST_LINE,
    });
    this.#onRecord = onRecord;
    // Errors are told by what is waited for.
    this.on('error', () => undefined);
  }

  override push(record: readonly string[] | null): boolean {
    if (record === null) return super.push(null);
    this.#onRecord(record);
    return true;
  }

  add(piece: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.write(piece, (error) => (error ? reject(error) : resolve()));
    });
  }

  async finish(): Promise<void> {
    this.end();
    this.resume();
    await finished(this);
  }
}

function breaksIn(values: readonly string[]): number {
  let breaks = 0;
  for (const value of values) for (let at = -1; (at = value.indexOf('\n', at + 1)) >= 0;) breaks++;
  return breaks;
}

/** @param line where the record begins that has the fault */
function faultOf(path: string, line: number, { code, message }: CsvError): UserError {
  const at = `${path}:${line}`;
  if (code === 'CSV_MAX_RECORD_SIZE') return tooLong(at, 'field');
  if (code !== 'CSV_QUOTE_NOT_CLOSED') return new UserError(`${at}: not valid CSV: ${message}`);
  return new UserError(`${at}: a quotation mark is not closed, expected another one at the end of its field`);
}
