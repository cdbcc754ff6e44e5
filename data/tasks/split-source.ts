/** Room: data/tasks. The rows of a task's split, and the records that examples are read from. Reads the task's files. */
import { UserError } from '../../engine/errors.ts';
import type { OnBytes } from '../../engine/io/load.ts';
import { warn } from '../../engine/warnings.ts';
import { mapped, type RecordSource, type Source } from '../record-source.ts';
import { readBatches } from '../records.ts';
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
    for await (const records of readBatches(path, { onBytes, dialect: { ...task.dialect, onBadLine } })) {
      const rows = records.flatMap((record) =>
        task.rows(record, `${path}:${record.line}`).map((row) => ({ line: record.line, row })),
      );
      count += rows.length;
      yield rows;
    }
    if (bad.length > 0) warn(`${path}: ${bad.length} lines left out, of another number of columns: ${shown(bad)}`);
  }
  if (count === 0) throw new UserError(`${files[0]}: no row of ${task.name}, expected at least one`);
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
