/** Room: data/qa. From questions to what batches are made of: question and context as a pair, the answer as a span of its tokens. */
import { option } from '../../engine/errors.ts';
import { UserError } from '../../engine/errors.ts';
import type { TextEncoder } from '../../models/lazy-tokenizer.ts';
import { checkedIds, encodeText, encodeTokens } from '../encode.ts';
import { IGNORE_INDEX, type EncodedExample, type Sequence } from '../encoded-example.ts';
import { inOrder, mapInOrder } from '../map-in-order.ts';
import type { Question, QuestionFile, QuestionRow, TokenQuestion } from './questions.ts';
import { WindowStore } from './window-store.ts';

/** What questions are encoded for. Lengths are in tokens. */
export interface QuestionOptions {
  readonly maxLength: number;
  /** Tokens that two windows of a context share, at most half of what fits. */
  readonly docStride: number;
  /** Token ids the model has embeddings for. */
  readonly vocabSize: number;
  /** Segments it has embeddings for; 0 = it has none. */
  readonly typeVocabSize: number;
  /** Not needed for files that are tokenised already. */
  readonly tokenizer: TextEncoder | undefined;
}

/** A row of the file with its windows: one where the context fits. */
export interface EncodedQuestionRow {
  readonly line: number;
  readonly windows: readonly EncodedExample[];
}

/**
 * Of every row its windows. An answer that is not whole in a window becomes the first token there, as in transformers' example; so does
 * none.
 * @throws UserError with file and line
 */
export function encodeQuestions({ path, rows }: QuestionFile, options: QuestionOptions): Promise<EncodedQuestionRow[]> {
  return mapInOrder(rows, async (row) => ({
    line: row.line,
    windows: await encodeRow(row, options, `${path}:${row.line}`),
  }));
}

/** As `encodeQuestions`, in little memory. @throws UserError with file and line */
export async function storeQuestions({ path, rows }: QuestionFile, options: QuestionOptions): Promise<WindowStore> {
  const store = new WindowStore();
  for await (const windows of inOrder(rows, (row) => encodeRow(row, options, `${path}:${row.line}`)))
    store.push(windows);
  return store;
}

async function encodeRow(row: QuestionRow, options: QuestionOptions, at: string): Promise<EncodedExample[]> {
  if ('inputIds' in row) return [encodeTokenQuestion(row, options, at)];
  const { tokenizer } = options;
  if ('question' in row && tokenizer) return encodeQuestion(row, tokenizer, options, at);
  const texts = 'question' in row ? { text: row.question, textPair: row.context } : row;
  return [{ ...(await encodeText(texts, tokenizer, options, at)), label: IGNORE_INDEX }];
}

async function encodeQuestion(
  { question, context, answers }: Question,
  tokenizer: TextEncoder,
  { maxLength, docStride, vocabSize }: QuestionOptions,
  at: string,
): Promise<EncodedExample[]> {
  const windows = await tokenizer.encodeQuestion(question, context, maxLength, docStride);
  if (windows[0]?.offsets.length === 0 && context !== '') {
    throw new UserError(
      `${at}: "question" leaves no room for the context in ${maxLength} tokens; raise ${option('maxLength')}`,
    );
  }
  const [first] = answers ?? [];
  const texts = (answers ?? []).map(({ text }) => text);
  return windows.map(({ ids, typeIds, from, offsets }, window) => ({
    ids: checkedIds(ids, vocabSize, at),
    mask: new Int32Array(ids.length).fill(1),
    typeIds: Int32Array.from(typeIds),
    label: IGNORE_INDEX,
    ...(answers && { span: first ? spanOf(offsets, from, first.start, first.start + first.text.length) : [0, 0] }),
    passage: { from, to: from + offsets.length / 2, source: { text: context, offsets, answers: texts } },
    ...(window > 0 && { window }),
  }));
}

/** The tokens that hold the characters from `start` to before `end`; the first token of the sequence where not all are there. */
function spanOf(offsets: Int32Array, from: number, start: number, end: number): [number, number] {
  const count = offsets.length / 2;
  const beginOf = (token: number): number => offsets[2 * token]!;
  const endOf = (token: number): number => offsets[2 * token + 1]!;
  if (count === 0 || beginOf(0) > start || endOf(count - 1) < end) return [0, 0];
  let first = count - 1;
  while (beginOf(first) > start) first--;
  let last = 0;
  while (endOf(last) < end) last++;
  return [from + first, from + Math.max(first, last)];
}

/** Positions past the tokens given are not learned. */
function encodeTokenQuestion(
  row: TokenQuestion,
  { tokenizer: _, ...limits }: QuestionOptions,
  at: string,
): EncodedExample {
  const sequence = encodeTokens(row, { ...limits, keepPadding: true }, at);
  const place = (position: number): number => (position < sequence.ids.length ? position : IGNORE_INDEX);
  const span = row.span?.map(place) as [number, number] | undefined;
  return { ...sequence, label: IGNORE_INDEX, ...(span && { span }), passage: passageOf(sequence) };
}

/** The second segment where the row tells segments apart, else all its tokens. */
function passageOf({ mask, typeIds }: Sequence): { from: number; to: number } {
  const isSecond = (type: number, token: number): boolean => type === 1 && mask[token] === 1;
  const from = typeIds.findIndex(isSecond);
  return from < 0
    ? { from: mask.indexOf(1), to: mask.lastIndexOf(1) + 1 }
    : { from, to: typeIds.findLastIndex(isSecond) + 1 };
}
