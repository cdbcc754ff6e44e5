/** Room: data/formats. Tables, CSV and TSV: a header line, which a dialect may stand for, and a record a line. Reads the file it is given. */
import { pipeline, Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { UserError } from '../../engine/errors.ts';
import { LONGEST_LINE, readPieces, tooLong } from '../../engine/io/text.ts';
import type { Fields, Reader, RecordOptions } from './record.ts';

interface TableRecord {
  readonly record: readonly string[];
  /** The parser counts lines at the record's end. */
  readonly info: { readonly lines: number };
}

export const tableReader =
  (delimiter: ',' | '\t'): Reader =>
  (path, options) =>
    readTable(path, delimiter, options);

async function* readTable(
  path: string,
  delimiter: ',' | '\t',
  { onBytes, dialect = {} }: RecordOptions,
): AsyncGenerator<readonly Fields[]> {
  const quote = dialect.quote ?? (delimiter === ',' ? 'csv' : undefined);
  const parser = parse({
    delimiter,
    quote: quote === 'csv' ? '"' : null,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: LONGEST_LINE,
  });
  // An error of either is the parser's.
  pipeline(Readable.from(readPieces(path, onBytes)), parser, () => undefined);
  let names = dialect.header;
  let end = 0;
  try {
    for await (const { record, info } of parser as AsyncIterable<TableRecord>) {
      const breaks = record.reduce((sum, field) => sum + (field.includes('\n') ? field.split('\n').length - 1 : 0), 0);
      const line = info.lines - breaks;
      end = info.lines;
      const values = quote === undefined ? record.map(unquote) : record;
      if (!names) names = columnNames(`${path}:${line}`, values);
      else if (values.length === names.length) yield [{ line, fields: fieldsOf(names, values) }];
      else if (dialect.onBadLine) dialect.onBadLine(line, values.length);
      else {
        const found = `found ${values.length} fields`;
        throw new UserError(`${path}:${line}: ${found}, expected ${names.length} (${names.join(', ')})`);
      }
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

function fieldsOf(names: readonly string[], values: readonly string[]): Fields['fields'] {
  return Object.fromEntries(names.map((name, i) => [name, values[i]]));
}

/** Many writers of TSV quote a field; a lone quotation mark is text. */
function unquote(field: string): string {
  return /^".*"$/.test(field) && field.length > 1 ? field.slice(1, -1).replaceAll('""', '"') : field;
}
