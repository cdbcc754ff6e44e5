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

/** @throws UserError where the text has the span in another place, or not at all */
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
  if (!firstWord(words, index, found)) {
    const has = words.slice(index, index + 3).join(' ');
    const places = words.flatMap(([other], i) => (begins(other, found) ? [i] : []));
    const expected = places.length > 0 ? `the place of "${found}": ${places.join(' or ')}` : `words of the text`;
    throw new UserError(
      `${at}: "${span}_text" is "${found}", but the text has "${has}" at ${index}; expected ${expected}`,
    );
  }
  return { [`${span}_index`]: index, [`${span}_text`]: asInText(found, text, word[0]) };
}

/** Words from the place given at which a span is looked for: some of the places distributed are a word off. */
const NEAR = [0, 1, -1, 2, -2];

/** The word that a span begins with, at its place or nearby. */
function firstWord(words: readonly RegExpExecArray[], index: number, span: string): RegExpExecArray | undefined {
  return NEAR.map((step) => words[index + step]).find((word) => word && begins(word[0], span));
}

/** Whether a word begins a span, or the span's first word the word: case and punctuation do not matter. */
function begins(word: string, span: string): boolean {
  const [a, b] = [word, span.trim().split(/\s+/)[0]!].map(lettersOf) as [string, string];
  return a === b || (a !== '' && b !== '' && (a.startsWith(b) || b.startsWith(a)));
}

function lettersOf(word: string): string {
  return word.replace(/[^\p{L}\p{N}]+/gu, '').toLowerCase();
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

/** The text with `*…*` around the pronoun, or around the word at its place. */
function marked({ text, span2_index: index, span2_text: span }: TaskRow): string {
  const whole = text as string;
  const words = wordsOf(whole);
  const word = firstWord(words, index as number, span as string) ?? words[index as number]!;
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
