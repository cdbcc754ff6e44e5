/**
 * Room: data/tasks. SQuAD 1.1 (Rajpurkar et al. 2016) and 2.0 (2018), as distributed and as on the Hugging Face hub, and any file of either
 * form. Declarations only.
 */
import { UserError } from '../../engine/errors.ts';
import { preview, previewNames } from '../../engine/io/files.ts';
import { answersOf } from '../qa/given-answers.ts';
import { ARTICLES, isArticle, questionsOfArticle } from '../qa/squad.ts';
import type { Fields } from '../records.ts';
import { textOf } from './fields.ts';
import { answersById } from './submission.ts';
import type { Task, TaskRow } from './task.ts';

/** A question of the hub, or the questions of an article of SQuAD's own file. */
function questionsOf(record: Fields, at: string): readonly TaskRow[] {
  if (isArticle(record.fields)) return questionsOfArticle(record, at);
  const { id, title, answers } = record.fields;
  if (record.fields.context === undefined && record.fields.question === undefined) {
    const there = previewNames(Object.keys(record.fields));
    throw new UserError(`${at}: found ${there}; expected "paragraphs", or "context", "question" and "answers"`);
  }
  const [context, question] = [textOf(record, 'context', at), textOf(record, 'question', at)];
  const here = id === undefined ? at : `${at}: question ${preview(id)}`;
  return [{ id, title, context, question, ...givenAnswers(answers, context, here) }];
}

function givenAnswers(answers: unknown, context: string, at: string): TaskRow {
  if (answers === undefined || answers === null) return {};
  answersOf(answers, context, at);
  return { answers };
}

const SHARED: Pick<Task, 'labels' | 'head' | 'dialect' | 'example' | 'metrics' | 'key' | 'submission'> = {
  head: 'question-answering',
  labels: [],
  dialect: { rows: ARTICLES },
  example: ({ question, context, answers }) => ({ question, context, ...(answers !== undefined && { answers }) }),
  metrics: ['exactMatch', 'f1'],
  key: ({ id }) => ({ id }),
  submission: answersById('predictions.json'),
};

/** Names of a split's file, that of the version before others. */
function filesOf(version: string): Task['files'] {
  return {
    train: [`train-v${version}`, 'train'],
    validation: [`dev-v${version}`, 'validation', 'dev', 'val', 'valid'],
    test: [`test-v${version}`, 'test'],
  };
}

/** @throws UserError for a question without an answer */
function answered(row: TaskRow, at: string): TaskRow {
  const { id, answers } = row;
  if (answers === undefined || countOf(answers) > 0) return row;
  throw new UserError(
    `${at}: question ${preview(id)} has no answer, expected one at least; where questions may have none, the task is squad_v2`,
  );
}

function countOf(answers: unknown): number {
  return Array.isArray(answers) ? answers.length : (answers as { readonly text: readonly unknown[] }).text.length;
}

export const SQUAD: readonly Task[] = [
  {
    ...SHARED,
    name: 'squad',
    folders: ['SQuAD 1.1', 'SQuAD-v1.1'],
    files: filesOf('1.1'),
    rows: (record, at) => questionsOf(record, at).map((row) => answered(row, at)),
  },
  {
    ...SHARED,
    name: 'squad_v2',
    folders: ['SQuAD 2.0', 'SQuAD-v2.0', 'squad2', 'squad'],
    files: filesOf('2.0'),
    rows: questionsOf,
    mayHaveNoAnswer: true,
  },
];
