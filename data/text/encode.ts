/** Room: data/text. From a context and an answer to tokens, cut where lm-evaluation-harness cuts. */
import { option, UserError } from '../../engine/errors.ts';
import type { TextEncoder } from '../../models/lazy-tokenizer.ts';
import { checkedIds } from '../encode.ts';
import { IGNORE_INDEX } from '../encoded-example.ts';
import type { Tokens } from '../example-store.ts';
import { tokensOf } from '../lm/encode.ts';
import { withoutEndSpace } from './python-text.ts';
import { ANSWER_DELIMITER, type TextChoice } from './text-task.ts';

/** What texts are encoded for. */
export interface TextOptions {
  readonly tokenizer: TextEncoder;
  /** Token ids the model has embeddings for. */
  readonly vocabSize: number;
  /** Of context and answer; what is over it is cut off at the context's beginning. */
  readonly maxLength: number;
}

/**
 * Context and answer, of which the answer's tokens are asked for. White space at the context's end counts as the answer's.
 * @param endId learned after the answer, where it is given
 * @throws UserError where the answer has no tokens of its own, or leaves no room for any of the context
 */
export async function encodeAnswer(
  { context, answer }: TextChoice,
  { tokenizer, vocabSize, maxLength }: TextOptions,
  at: string,
  endId?: number,
): Promise<Tokens> {
  const { ids: whole } = await tokenizer.encode(context + ANSWER_DELIMITER + answer);
  const { ids: before } = await tokenizer.encode(withoutEndSpace(context));
  const all = endId === undefined ? whole : [...whole, endId];
  const count = all.length - before.length;
  if (count < 1) throw new UserError(`${at}: the answer "${answer}" has no tokens, expected at least one`);
  if (count >= maxLength)
    throw new UserError(
      `${at}: the answer has ${count} tokens, expected fewer than ${maxLength}; raise ${option('maxLength')}`,
    );
  const ids = checkedIds(all.slice(-maxLength), vocabSize, at);
  const first = ids.length - count;
  return tokensOf(
    ids,
    ids.map((id, i) => (i < first ? IGNORE_INDEX : id)),
  );
}

/** A context to go on from, of `maxLength` tokens at most. */
export async function encodeContext(
  context: string,
  { tokenizer, vocabSize, maxLength }: TextOptions,
  at: string,
): Promise<Int32Array> {
  const { ids } = await tokenizer.encode(context);
  return checkedIds(ids.slice(-maxLength), vocabSize, at);
}
