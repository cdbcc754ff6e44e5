/**
 * Room: data/qa. SQuAD's JSON (Rajpurkar et al. 2016, 2018): articles of paragraphs, a context with its questions. A question is named by its
 * id. Pure functions.
 */
import { UserError } from '../../engine/errors.ts';
import { preview } from '../../engine/io/files.ts';
import type { Fields } from '../records.ts';
import { answersOf } from './given-answers.ts';

/** Key of a file's list of articles. */
export const ARTICLES = 'data';

/** Whether a record is an article. */
export function isArticle({ paragraphs }: Fields['fields']): boolean {
  return paragraphs !== undefined;
}

/** A question in the columns that the Hugging Face hub has: `id`, `title`, `context`, `question`, and `answers` where they are known. */
export type SquadRow = Readonly<Record<'id' | 'title' | 'context' | 'question', string>> & {
  readonly answers?: { readonly text: readonly string[]; readonly answer_start: readonly number[] };
};

/**
 * The questions of an article; those of a paragraph share its context.
 * @param at file and line for messages
 * @throws UserError where the form is another
 */
export function questionsOfArticle({ fields }: Fields, at: string): SquadRow[] {
  const title = typeof fields.title === 'string' ? fields.title : '';
  const inArticle = title === '' ? at : `${at}: article ${preview(title)}`;
  return listOf(fields, 'paragraphs', inArticle).flatMap((paragraph, p) => {
    const here = `${inArticle}, paragraph ${p + 1}`;
    const context = textAt(paragraph, 'context', here);
    return listOf(paragraph, 'qas', here).map((entry, q) =>
      questionOf(entry, { title, context }, at, `${here}, question ${q + 1}`),
    );
  });
}

type Entry = Readonly<Record<string, unknown>>;

function questionOf(entry: Entry, of: Pick<SquadRow, 'title' | 'context'>, at: string, place: string): SquadRow {
  const { id: found, answers } = entry;
  const id = typeof found === 'number' ? String(found) : textAt(entry, 'id', place);
  const here = `${at}: question ${preview(id)}`;
  const question = textAt(entry, 'question', here);
  const row = { id, ...of, question };
  return answers === undefined ? row : { ...row, answers: listsOf(answers, of.context, here) };
}

/** Checked here, where the question's id is known. */
function listsOf(answers: unknown, context: string, at: string): NonNullable<SquadRow['answers']> {
  answersOf(answers, context, at);
  const entries = answers as readonly { readonly text: string; readonly answer_start: number }[];
  return { text: entries.map(({ text }) => text), answer_start: entries.map(({ answer_start: start }) => start) };
}

function listOf(entry: Entry, key: string, at: string): readonly Entry[] {
  const value = entry[key];
  if (Array.isArray(value) && value.every((item) => typeof item === 'object' && item !== null)) return value as Entry[];
  throw new UserError(`${at}: "${key}" is ${preview(value)}, expected a list of objects as in SQuAD's files`);
}

function textAt(entry: Entry, key: string, at: string): string {
  const value = entry[key];
  if (typeof value === 'string') return value;
  throw new UserError(`${at}: "${key}" is ${preview(value)}, expected a text as in SQuAD's files`);
}
