/** Room: data/formats. From a table's text to its cells: with the quoting of RFC 4180, or without any. Reads the file it is given. */
import { finished } from 'node:stream/promises';
import { CsvError, parse, type Parser } from 'csv-parse';
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
  let end = 0;
  let parser: Parser | undefined;
  const onRecord = (values: readonly string[], lines: number): void => {
    rows.push({ line: lines - breaksIn(values), values });
    end = lines;
  };
  try {
    for await (const piece of readPieces(path, onBytes)) {
      parser ??= parserOf(delimiter, firstBreak(piece), onRecord);
      await write(parser, piece);
      yield rows;
      rows = [];
    }
    if (parser) await finish(parser);
    yield rows;
  } catch (error) {
    throw error instanceof CsvError ? faultOf(path, end + 1, error) : error;
  }
}

/** @param onRecord is given each record and the lines up to its end */
function parserOf(
  delimiter: Delimiter,
  lineBreak: LineBreak | undefined,
  onRecord: (values: readonly string[], lines: number) => void,
): Parser {
  const parser = parse({
    delimiter,
    record_delimiter: lineBreak === '\r' ? '\r' : ['\r\n', '\n'],
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    max_record_size: LONGEST_LINE,
    on_record: (values: readonly string[], { lines }) => {
      onRecord(values, lines);
      return null;
    },
  });
  // Errors are told by what is waited for.
  return parser.on('error', () => undefined);
}

function write(parser: Parser, piece: string): Promise<void> {
  return new Promise((resolve, reject) => {
    parser.write(piece, (error) => (error ? reject(error) : resolve()));
  });
}

async function finish(parser: Parser): Promise<void> {
  parser.end();
  parser.resume();
  await finished(parser);
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
