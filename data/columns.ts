/** Room: data. Columns under the names that examples are read by, and a word about those that nothing reads. Pure but for the warning. */
import { option, UserError } from '../engine/errors.ts';
import { didYouMean } from '../engine/nearest.ts';
import { warn } from '../engine/warnings.ts';
import type { RecordSource } from './record-source.ts';
import type { Fields } from './records.ts';

/**
 * Records with columns under other names; what is not named is left out.
 * @param columns from a name that examples are read by to the column of the data
 * @throws UserError, while reading, where the first record lacks a column
 */
export function renamedColumns(source: RecordSource, columns: Readonly<Record<string, string>>): RecordSource {
  const entries = Object.entries(columns);
  const renamed = ({ line, fields }: Fields): Fields => ({
    line,
    fields: Object.fromEntries(entries.map(([name, column]) => [name, fields[column]])),
  });
  return {
    path: source.path,
    read: async function* (onBytes) {
      let isFirst = true;
      for await (const records of source.read(onBytes)) {
        if (isFirst && records[0]) assertThere(source.path, records[0], columns);
        isFirst &&= records.length === 0;
        yield records.map(renamed);
      }
    },
  };
}

function assertThere(path: string, { line, fields }: Fields, columns: Readonly<Record<string, string>>): void {
  const there = Object.keys(fields);
  warnUnused(path, there, Object.values(columns));
  for (const [name, column] of Object.entries(columns)) {
    // Rows without labels are predicted.
    if (name === 'label' || there.includes(column)) continue;
    const found = `${path}:${line}: no column "${column}"${didYouMean(column, there)}`;
    throw new UserError(`${found}, expected one of ${there.join(', ')}; ${option('columns')} names them`);
  }
}

/** Names the columns that nothing reads, in one line. */
export function warnUnused(path: string, there: readonly string[], used: readonly string[]): void {
  const unused = there.filter((name) => !used.includes(name));
  if (unused.length > 0) warn(`${path}: columns not used: ${unused.join(', ')}`);
}
