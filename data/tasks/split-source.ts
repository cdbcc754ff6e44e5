/** Room: data/tasks. The rows of a task's split, and the records that examples are read from. Reads the task's files. */
import { UserError } from '../../engine/errors.ts';
import type { OnBytes } from '../../engine/io/load.ts';
import { warn } from '../../engine/warnings.ts';
import { mapped, type RecordSource, type Source } from '../record-source.ts';
import { readBatches, readFeatures, type Dialect, type Fields } from '../records.ts';
import { LabelFile } from './label-file.ts';
import type { SplitName, Task, TaskRow } from './task.ts';

/** A row of a task, and where it begins in its file. */
export interface PlacedRow {
  /** Line of the file; of a task without files the row, from 1. */
  readonly line: number;
  readonly row: TaskRow;
}

/** The rows of a task that a package has. */
export function packagedRows({ name, load }: Task, split: SplitName): Source<PlacedRow> {
  return {
    path: name,
    read: async function* () {
      yield (await load!(split)).map((row, i) => ({ line: i + 1, row }));
    },
  };
}

/** The rows of a task's files. @param files in order, at least one */
export function rowsOfFiles(task: Task, files: readonly string[]): Source<PlacedRow> {
  return { path: files[0]!, read: (onBytes) => readRows(task, files, onBytes) };
}

async function* readRows(
  task: Task,
  files: readonly string[],
  onBytes: OnBytes | undefined,
): AsyncGenerator<readonly PlacedRow[]> {
  let count = 0;
  for (const path of files) {
    const bad: number[] = [];
    const onBadLine = task.skipsBadLines ? (line: number) => void bad.push(line) : undefined;
    const labels = task.hasLabelFile ? await LabelFile.of(path) : undefined;
    const named = namedClasses(task, await readFeatures(path));
    for await (const records of readBatches(path, { onBytes, dialect: { ...dialectOf(task, path), onBadLine } })) {
      const rows = records.flatMap((record) =>
        task
          .rows(named(labels?.labelled(record) ?? record), `${path}:${record.line}`)
          .map((row) => ({ line: record.line, row })),
      );
      count += rows.length;
      yield rows;
    }
    labels?.end();
    if (bad.length > 0)
      warn(`${path}: left out ${counted(bad.length)} of another number of columns than the header: ${shown(bad)}`);
  }
  if (count === 0) throw new UserError(`${files[0]}: no row of ${task.name}, expected at least one`);
}

/** How a file is written: benchmarks' own tables are tab-separated, those of commas are others'. */
function dialectOf({ dialect }: Task, path: string): Dialect {
  const { quote: _, header: __, ...others } = dialect ?? {};
  return /\.csv(\.gz)?$/i.test(path) ? others : { ...dialect };
}

/** Classes by their names where a file says what its numbers stand for, and the task has these names. */
function namedClasses(
  { labels }: Task,
  features: Awaited<ReturnType<typeof readFeatures>>,
): (record: Fields) => Fields {
  const columns = Object.entries(features).filter(([, names]) => names.every((name) => labels.includes(name)));
  if (columns.length === 0) return (record) => record;
  return ({ line, fields }) => {
    const named: Record<string, unknown> = { ...fields };
    for (const [column, names] of columns) named[column] = names[fields[column] as number] ?? fields[column];
    return { line, fields: named };
  };
}

function counted(lines: number): string {
  return lines === 1 ? '1 line' : `${lines.toLocaleString('en-US')} lines`;
}

/** Lines named in a warning. */
const SHOWN = 10;

function shown(lines: readonly number[]): string {
  return lines.slice(0, SHOWN).join(', ') + (lines.length > SHOWN ? ' …' : '');
}

/** Rows, or their candidates, in the columns that examples are read by. @param onRow is told each of them */
export function exampleSource(task: Task, rows: Source<PlacedRow>, onRow?: (row: TaskRow) => void): RecordSource {
  const { candidates = (row: TaskRow) => [row] } = task;
  return mapped(rows, ({ line, row }) =>
    candidates(row).map((candidate) => {
      onRow?.(candidate);
      return { line, fields: task.example(candidate) };
    }),
  );
}

/** The same for rows to learn from or to evaluate. @throws UserError, while reading, for a row without a label */
export function labelledSource(task: Task, rows: Source<PlacedRow>, onRow?: (row: TaskRow) => void): RecordSource {
  return mapped(exampleSource(task, rows, onRow), (record) => {
    const { label, answers } = record.fields;
    if (label !== undefined || answers !== undefined) return [record];
    const expected = task.labels.length > 1 ? `one of ${task.labels.join(', ')}` : 'one';
    throw new UserError(
      `${rows.path}:${record.line}: no label, expected ${expected}; test splits without labels can be predicted, not evaluated`,
    );
  });
}
