/** Room: data. Columns under the names that examples are read by, and a word about those that nothing reads. Pure but for the warning. */
import { option, UserError } from '../engine/errors.ts';
import { previewNames } from '../engine/io/files.ts';
import { didYouMean } from '../engine/nearest.ts';
import { warn } from '../engine/warnings.ts';
import type { RecordSource } from './record-source.ts';
import type { Fields } from './records.ts';

/** Names that examples are read by; beside them `choice_0`, `choice_1` … */
const NAMES = [
  ...['text', 'text_pair', 'text_a', 'text_b', 'choices', 'label', 'question', 'context', 'answers'],
  ...['prompt', 'completion', 'messages', 'tools', 'documents', 'chat_template_kwargs'],
  ...['input_ids', 'attention_mask', 'token_type_ids', 'labels', 'start_positions', 'end_positions'],
];

/**
 * Records with columns under other names; what is not named is left out.
 * @param columns from a name that examples are read by to the column of the data
 * @throws UserError for a name that nothing is read by, and, while reading, where the first record lacks a column
 */
export function renamedColumns(source: RecordSource, columns: Readonly<Record<string, string>>): RecordSource {
  for (const name of Object.keys(columns)) {
    if (NAMES.includes(name) || /^choice_\d+$/.test(name)) continue;
    const expected = didYouMean(name, NAMES) || `, expected one of ${NAMES.join(', ')}`;
    throw new UserError(`${option('columns')}: nothing is read by "${name}"${expected}`);
  }
  const renamed = ({ line, fields }: Fields): Fields => ({ line, fields: renamedFields(fields, columns) });
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

/** A record's columns under other names. @param columns as for `renamedColumns` */
export function renamedFields(fields: Fields['fields'], columns: Readonly<Record<string, string>>): Fields['fields'] {
  const found = Object.entries(columns).filter(([, column]) => fields[column] !== undefined);
  return Object.fromEntries(found.map(([name, column]) => [name, fields[column]]));
}

function assertThere(path: string, { line, fields }: Fields, columns: Readonly<Record<string, string>>): void {
  const there = Object.keys(fields);
  warnUnused(path, there, Object.values(columns));
  for (const [name, column] of Object.entries(columns)) {
    const near = didYouMean(column, there);
    // Rows without labels are predicted.
    if (there.includes(column) || (['label', 'answers'].includes(name) && near === '')) continue;
    const found = `${path}:${line}: no column "${column}"${near}`;
    const expected = near === '' ? `, expected one of ${previewNames(there)};` : '';
    throw new UserError(`${found}${expected} ${option('columns')} names them`);
  }
}

/** Names the columns that nothing reads, in one line. */
export function warnUnused(path: string, there: readonly string[], used: readonly string[]): void {
  const unused = there.filter((name) => !used.includes(name));
  if (unused.length > 0) warn(`${path}: columns not used: ${previewNames(unused)}`);
}
