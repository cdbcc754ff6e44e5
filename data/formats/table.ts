/** Room: data/formats. Tables, CSV and TSV: a header line, which a dialect may stand for, and a record a line. */
import { UserError } from '../../engine/errors.ts';
import { preview, previewNames } from '../../engine/io/files.ts';
import { quotedRows, unquotedRows, type Delimiter, type TableRow } from './cells.ts';
import { quotingOf } from './quoting.ts';
import type { Dialect, Fields, Reader, RecordOptions } from './record.ts';

/** CSV quotes fields as RFC 4180; of TSV, whose writers differ, it is found out. */
export const tableReader =
  (delimiter: Delimiter): Reader =>
  (path, options) =>
    readTable(path, delimiter, options);

async function* readTable(
  path: string,
  delimiter: Delimiter,
  { onBytes, dialect = {} }: RecordOptions,
): AsyncGenerator<readonly Fields[]> {
  const quote = dialect.quote ?? (delimiter === ',' ? 'csv' : await quotingOf(path, dialect.header));
  const rows = quote === 'csv' ? quotedRows : unquotedRows;
  let names: readonly string[] | undefined;
  for await (const batch of rows(path, delimiter, onBytes)) {
    const records: Fields[] = [];
    for (const row of batch) {
      const isFirst = names === undefined;
      names ??= headerOf(path, row, dialect.header);
      if (isFirst && names !== dialect.header) continue;
      if (row.values.length === names.length) records.push({ line: row.line, fields: fieldsOf(names, row.values) });
      else if (dialect.onBadLine) dialect.onBadLine(row.line, row.values.length);
      else throw badLine(path, row, names);
    }
    yield records;
  }
}

/** The first row, unless a dialect has names in its place and the row none of them. */
function headerOf(path: string, row: TableRow, header: Dialect['header']): readonly string[] {
  return header && !row.values.some((value) => header.includes(value)) ? header : columnNames(path, row);
}

/** @throws UserError where two columns have one name */
function columnNames(path: string, { line, values }: TableRow): readonly string[] {
  const names = values.map((name) => name.trim());
  const twice = names.find((name, i) => name !== '' && names.indexOf(name) !== i);
  if (twice === undefined) return names;
  throw new UserError(
    `${path}:${line}: two columns are named ${preview(twice)}, expected every name once; rename or remove one`,
  );
}

function fieldsOf(names: readonly string[], values: readonly string[]): Fields['fields'] {
  const fields: Record<string, string> = {};
  for (let i = 0; i < names.length; i++) fields[names[i]!] = values[i]!;
  return fields;
}

function badLine(path: string, { line, values }: TableRow, names: readonly string[]): UserError {
  return new UserError(
    `${path}:${line}: found ${values.length} ${values.length === 1 ? 'field' : 'fields'}, expected ${names.length} (${previewNames(names)})`,
  );
}
