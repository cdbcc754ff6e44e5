/** Room: data/tasks. Where a task's submission is written, and the forms that benchmarks have for it. Looks at the given path. */
import { stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { option, UserError } from '../../engine/errors.ts';
import type { Prediction, Submission, Task } from './task.ts';

/**
 * The file of a task's submission.
 * @param path the file, or a folder for it: one that is there, or a path without an ending
 * @throws UserError where the task has no submission
 */
export async function submissionFile({ name, submission }: Task, path: string): Promise<string> {
  if (!submission)
    throw new UserError(`${option('submission')}: ${name} has none, expected a task of GLUE, SuperGLUE or SQuAD`);
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => path !== '-' && extname(path) === '',
  );
  return isFolder ? join(path, submission.file) : path;
}

/** A table of two columns, `index` and `prediction`. @param answer in place of a row's class */
export function indexedTable(file: string, answer: (prediction: Prediction) => string): Submission {
  const line = (row: Prediction): string => `${JSON.stringify(indexOf(row))}\t${answer(row)}`;
  return { file, lines: (rows) => ['index\tprediction', ...rows.map(line)] };
}

/** JSON lines `{"idx": …, …}`. @param answer the other keys of a row */
export function indexedLines(
  file: string,
  answer: (prediction: Prediction) => Readonly<Record<string, unknown>>,
): Submission {
  const line = (row: Prediction): string => JSON.stringify({ idx: indexOf(row), ...answer(row) });
  return { file, lines: (rows) => rows.map(line) };
}

/** One JSON object with the answer to each question, '' for none, by the question's `id`. */
export function answersById(file: string): Submission {
  const entry = ({ key, answer }: Prediction): [string, string] => [String(key.id), answer?.text ?? ''];
  return { file, lines: (rows) => [JSON.stringify(Object.fromEntries(rows.map(entry)))] };
}

/** What the benchmark calls a row: its `idx`, else its place. */
function indexOf({ key, place }: Prediction): unknown {
  return key.idx ?? place;
}
