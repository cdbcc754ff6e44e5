/**
 * Room: data/tasks. The Winograd Schema Challenge (Levesque et al. 2011) in SuperGLUE's form: whether a pronoun means a noun phrase of its text.
 * Rows are those of the hub's `wsc.fixed`, from it, from `wsc`, and from the lines as distributed. A declaration only.
 */
import { UserError } from '../../engine/errors.ts';
import type { Fields } from '../records.ts';
import { classOf, indexOf, labelled, textOf, TRUTH } from './fields.ts';
import { objectOf, placeOf } from './nested.ts';
import { indexedLines } from './submission.ts';
import type { Task, TaskRow } from './task.ts';

/** The lines as distributed have the spans in `target`. */
function row(record: Fields, at: string): TaskRow {
  const text = textOf(record, 'text', at);
  const isNested = record.fields.target !== undefined;
  const [target, where] = isNested ? [objectOf(record, 'target', at), `${at}: "target"`] : [record, at];
  return {
    text,
    ...spanOf(text, target, 'span1', where),
    ...spanOf(text, target, 'span2', where),
    ...classOf(record, TRUTH, at),
    ...indexOf(record, 'idx'),
  };
}

/** @throws UserError where the span begins at no word of the text */
function spanOf(text: string, target: Fields, span: 'span1' | 'span2', at: string): TaskRow {
  const index = placeOf(target, `${span}_index`, at);
  const words = wordsOf(text);
  const word = words[index];
  if (!word)
    throw new UserError(
      `${at}: "${span}_index" is ${index}, expected the place of one of ${words.length} words, from 0`,
    );
  const found = textOf(target, `${span}_text`, at);
  if (found === '') throw new UserError(`${at}: "${span}_text" is "", expected words of the text`);
  return { [`${span}_index`]: index, [`${span}_text`]: asInText(found, text, word[0]) };
}

function wordsOf(text: string): RegExpExecArray[] {
  return [...text.matchAll(/\S+/g)];
}

/** The span as the text has it, where it differs in the first letter's case, a line break or a full stop alone. */
function asInText(span: string, text: string, word: string): string {
  if (text.includes(span)) return span;
  const first = span.slice(0, 1);
  const cased = /^\p{Ll}/u.test(word) ? first.toLowerCase() : first.toUpperCase();
  const fixed = `${cased}${span.slice(1)}`.replace(/\.+$/, '').replaceAll('\n', ' ');
  return text.includes(fixed) ? fixed : span;
}

/** The text with `*…*` around the pronoun: from its word on, because some places are a word too early; else around the word itself. */
function marked({ text, span2_index: index, span2_text: span }: TaskRow): string {
  const whole = text as string;
  const word = wordsOf(whole)[index as number]!;
  const escaped = (span as string).replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, 'giu');
  pattern.lastIndex = word.index;
  const found = pattern.exec(whole) ?? word;
  const end = found.index + found[0].length;
  return `${whole.slice(0, found.index)}*${found[0]}*${whole.slice(end)}`;
}

export const WSC: Task = {
  name: 'superglue/wsc',
  folders: ['wsc.fixed'],
  head: 'classification',
  labels: TRUTH,
  metrics: ['accuracy'],
  rows: (record, at) => [row(record, at)],
  example: (row) => ({ text_a: marked(row), text_b: row.span1_text, ...labelled(row, TRUTH) }),
  key: ({ idx }) => ({ idx }),
  submission: indexedLines('WSC.jsonl', ({ best }) => ({ label: TRUTH[best] })),
};
