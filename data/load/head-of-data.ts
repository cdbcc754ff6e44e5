/** Room: data/load. Which head data is for, by what was asked for or by a file's columns. Reads the first record of files. */
import { option, UserError } from '../../engine/errors.ts';
import type { HeadKind } from '../../models/architecture.ts';
import { renamedFields } from '../columns.ts';
import { hasChoices } from '../examples.ts';
import { isForLanguage, isPlainText } from '../lm/documents.ts';
import type { DataOptions } from '../options.ts';
import { hasQuestion } from '../qa/questions.ts';
import { itemsOf, sourceOf, type RecordSource } from '../record-source.ts';
import type { Fields } from '../records.ts';
import { taskOf, type DataRequest } from '../request.ts';

const TASK_HEADS: Readonly<Record<NonNullable<DataOptions['taskType']>, HeadKind>> = {
  SEQ_CLS: 'classification',
  CAUSAL_LM: 'causal-lm',
  QUESTION_ANS: 'question-answering',
  MULTIPLE_CHOICE: 'multiple-choice',
};

/**
 * The head that data is for: the one asked for, else the one that a built-in task or a file's columns tell; undefined where they
 * could be for several.
 */
export async function headOfData(
  request: DataRequest,
  { taskType, columns, as, numFewshot }: Pick<DataOptions, 'taskType' | 'columns' | 'as' | 'numFewshot'> = {},
): Promise<HeadKind | undefined> {
  assertText(request, { taskType, as, numFewshot });
  if (as === 'text') return 'causal-lm';
  if (taskType !== undefined) return TASK_HEADS[taskType];
  const task = taskOf(request);
  if (task) return task.head;
  const [file] = [request.train ?? request.eval ?? []].flat();
  return file === undefined ? undefined : headOfFile(file, columns);
}

/** By the columns of a file's first line. */
async function headOfFile(path: string, columns: DataOptions['columns']): Promise<HeadKind | undefined> {
  if (isPlainText(path)) return 'causal-lm';
  const found = await firstFields(path);
  const fields = columns ? renamedFields(found, columns) : found;
  if (isForLanguage(fields)) return 'causal-lm';
  if (hasQuestion(fields)) return 'question-answering';
  if (hasChoices(fields)) return 'multiple-choice';
  return fields.label === undefined ? undefined : 'classification';
}

export async function firstFields(given: string | RecordSource): Promise<Fields['fields']> {
  for await (const { fields } of itemsOf(sourceOf(given))) return fields;
  return {};
}

/** @throws UserError where options of tasks as text are given for other data */
export function assertText(
  request: DataRequest,
  { as, numFewshot = 0, taskType }: Pick<DataOptions, 'as' | 'numFewshot' | 'taskType'>,
): void {
  if (as === 'text' && request.task === undefined)
    throw new UserError(`${option('as')} text: is for tasks; name one with ${option('task')}`);
  if (as === 'text' && taskType !== undefined && taskType !== 'CAUSAL_LM')
    throw new UserError(`${option('as')} text: is for language models; leave out ${option('taskType')} ${taskType}`);
  if (as !== 'text' && numFewshot > 0)
    throw new UserError(`${option('numFewshot')}: is for tasks as text; add ${option('as')} text`);
}
