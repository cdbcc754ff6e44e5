/**
 * Room: data/tasks. MultiRC (Khashabi et al. 2018) in SuperGLUE's form: passages with questions, each with answers that are right or not. A row
 * is an answer, as on the Hugging Face hub; the figures are of questions. A declaration only.
 */
import type { Fields } from '../records.ts';
import { classOf, labelled, textOf, TRUTH } from './fields.ts';
import { judgedRows } from './figures.ts';
import { objectOf, objectsOf } from './nested.ts';
import type { Prediction, Task, TaskRow } from './task.ts';

/** As on the hub. */
interface Idx {
  readonly paragraph?: unknown;
  readonly question?: unknown;
  readonly answer?: unknown;
}

/** A row of the hub's, or all answers of a line as it is distributed. */
function rows(record: Fields, at: string): TaskRow[] {
  if (record.fields.passage === undefined) {
    const texts = ['paragraph', 'question', 'answer'].map((c) => [c, textOf(record, c, at)] as const);
    return [{ ...Object.fromEntries(texts), ...classOf(record, TRUTH, at), idx: record.fields.idx }];
  }
  const passage = objectOf(record, 'passage', at);
  const paragraph = textOf(passage, 'text', `${at}: "passage"`);
  return objectsOf(passage, 'questions', `${at}: "passage"`).flatMap(([asked, where], q) =>
    objectsOf(asked, 'answers', where).map(([given, place], a) => ({
      paragraph,
      question: textOf(asked, 'question', where),
      answer: textOf(given, 'text', place),
      ...classOf(given, TRUTH, place),
      idx: {
        paragraph: record.fields.idx ?? record.line - 1,
        question: asked.fields.idx ?? q,
        answer: given.fields.idx ?? a,
      },
    })),
  );
}

/** Rows without numbers are told apart by their texts. */
function questionOf({ idx, paragraph, question }: TaskRow): string {
  const { paragraph: p = paragraph, question: q = question } = (idx ?? {}) as Idx;
  return JSON.stringify([p, q]);
}

/** A line a passage, its questions in it and their answers in these, in the order of the rows. */
function linesOf(rows: readonly Prediction[]): readonly object[] {
  const passages = new Map<unknown, Map<unknown, object[]>>();
  for (const { key, best } of rows) {
    const { paragraph, question, answer } = (key.idx ?? {}) as Idx;
    if (!passages.has(paragraph)) passages.set(paragraph, new Map());
    const questions = passages.get(paragraph)!;
    if (!questions.has(question)) questions.set(question, []);
    questions.get(question)!.push({ idx: answer, label: best });
  }
  return [...passages].map(([idx, questions]) => ({
    idx,
    passage: { questions: [...questions].map(([number, answers]) => ({ idx: number, answers })) },
  }));
}

export const MULTIRC: Task = {
  name: 'superglue/multirc',
  head: 'classification',
  labels: TRUTH,
  metrics: ['f1a', 'exactMatch'],
  rows,
  // A long passage is cut, the question never.
  example: (row) => ({
    text_a: row.paragraph,
    text_b: `${row.question as string} ${row.answer as string}`,
    ...labelled(row, TRUTH),
  }),
  group: (row) => [row.paragraph as string, questionOf(row)],
  key: (row) => ({ idx: row.idx, label: row.label, question: questionOf(row) }),
  submission: { file: 'MultiRC.jsonl', lines: (rows) => linesOf(rows).map((line) => JSON.stringify(line)) },
  judge: (keys, scores) => ({ ...judgedRows(keys, scores), groups: keys.map(({ question }) => question as string) }),
};
