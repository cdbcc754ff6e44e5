/**
 * Room: data/lm. From documents to examples for a causal language model: what is read, and at which tokens it is asked for the
 * next one.
 */
import { option } from '../../engine/errors.ts';
import { UserError } from '../../engine/errors.ts';
import { warn } from '../../engine/warnings.ts';
import type { TextTokenizer } from '../../models/tokenizer.ts';
import { IGNORE_INDEX, type EncodedExample } from '../encode.ts';
import { mapInOrder } from '../map-in-order.ts';
import type { Completion, Document, LanguageFile, TokenDocument } from './documents.ts';

/** What documents are encoded for. */
export interface LanguageOptions {
  /** Longest example; documents are packed into blocks of as many tokens. */
  readonly maxLength: number;
  /** Token ids the model has embeddings for. */
  readonly vocabSize: number;
  /** Not needed for files that are tokenised already. */
  readonly tokenizer: TextTokenizer | undefined;
  /** Ends a document or a completion; absent: the model knows none. */
  readonly endId: number | undefined;
}

/**
 * The rows of a data file as examples with `tokenLabels`; documents are packed one after the other. Rows without a token to learn are
 * left out, with a warning.
 * @throws UserError with file and line, where nothing is left to learn or a token is not in the vocabulary
 */
export async function encodeLanguageFile(
  { path, rows }: LanguageFile,
  options: LanguageOptions,
): Promise<EncodedExample[]> {
  const documents: Document[] = [];
  const encoded = await mapInOrder(rows, async (row): Promise<Placed[]> => {
    const at = `${path}:${row.line}`;
    if ('inputIds' in row) return [{ at, example: encodeTokens(row, options, at) }];
    if ('prompt' in row) return [{ at, example: await encodeCompletion(row, options, at) }];
    documents.push(row);
    return [];
  });
  return documents.length > 0 ? packed(documents, options, path) : learned(encoded.flat(), path);
}

/** Documents one after the other, each closed by the end token, cut into blocks; a last block may be shorter. */
async function packed(
  documents: readonly Document[],
  { tokenizer, maxLength, endId }: LanguageOptions,
  path: string,
): Promise<EncodedExample[]> {
  const words = needTokenizer(tokenizer, path);
  const tokens = await mapInOrder(documents, ({ text }) => words.encode(text));
  const stream = tokens.flatMap(({ ids }) => closed(ids, endId));
  const blocks = Array.from({ length: Math.ceil(stream.length / maxLength) }, (_, i) =>
    stream.slice(i * maxLength, (i + 1) * maxLength),
  ).filter((block) => block.length > 1);
  if (blocks.length === 0) throw new UserError(`${path}: ${stream.length} tokens, expected at least 2 to learn from`);
  return blocks.map((ids) => example(ids, ids));
}

async function encodeCompletion(
  { prompt, completion }: Completion,
  { tokenizer, maxLength, endId }: LanguageOptions,
  at: string,
): Promise<EncodedExample> {
  const words = needTokenizer(tokenizer, at);
  const before = opened((await words.encode(prompt)).ids, endId);
  const after = closed((await words.encode(completion, undefined, { addSpecial: false })).ids, endId);
  if (before.length >= maxLength) {
    throw new UserError(
      `${at}: "prompt" has ${before.length} tokens, expected fewer than ${maxLength} to leave room for the completion; raise ${option('maxLength')}`,
    );
  }
  const ids = [...before, ...after].slice(0, maxLength);
  return example(
    ids,
    ids.map((id, i) => (i < before.length ? IGNORE_INDEX : id)),
  );
}

function encodeTokens(
  { inputIds, attentionMask, labels }: TokenDocument,
  { maxLength, vocabSize }: LanguageOptions,
  at: string,
): EncodedExample {
  if (inputIds.length > maxLength) {
    throw new UserError(
      `${at}: "input_ids" has ${inputIds.length} tokens, expected at most ${maxLength}; raise ${option('maxLength')} or cut them`,
    );
  }
  const outside = [...inputIds, ...labels].find((id) => id >= vocabSize);
  if (outside !== undefined) {
    throw new UserError(`${at}: token ${outside}, expected ids below the model's vocabulary size ${vocabSize}`);
  }
  return { ...example(inputIds, labels), mask: Int32Array.from(attentionMask) };
}

function example(ids: readonly number[], labels: readonly number[]): EncodedExample {
  const { length } = ids;
  return {
    ids: Int32Array.from(ids),
    mask: new Int32Array(length).fill(1),
    typeIds: new Int32Array(length),
    label: IGNORE_INDEX,
    tokenLabels: Int32Array.from(labels),
  };
}

interface Placed {
  readonly at: string;
  readonly example: EncodedExample;
}

/** The examples with something to learn. The first token is never asked for. */
function learned(all: readonly Placed[], path: string): EncodedExample[] {
  const kept = all.filter(({ example: { tokenLabels } }) => tokenLabels?.subarray(1).some((label) => label >= 0));
  if (kept.length === 0) throw new UserError(`${path}: no token to learn, expected at least one after a row's first`);
  const left = all.find((row, i) => row !== kept[i]);
  if (left)
    warn(
      `${path}: ${all.length - kept.length} of ${all.length} rows left out, without a token to learn; the first: ${left.at}`,
    );
  return kept.map(({ example }) => example);
}

/** With the end token, which some tokenizers add themselves. */
function closed(ids: readonly number[], endId: number | undefined): readonly number[] {
  return endId === undefined || (ids.length > 1 && ids[ids.length - 1] === endId) ? ids : [...ids, endId];
}

/** A prompt goes on: without the end token of tokenizers that add it. */
export function opened(ids: readonly number[], endId: number | undefined): readonly number[] {
  return ids.length > 1 && ids[ids.length - 1] === endId ? ids.slice(0, -1) : ids;
}

function needTokenizer(tokenizer: TextTokenizer | undefined, at: string): TextTokenizer {
  if (tokenizer) return tokenizer;
  throw new UserError(`${at}: found text, but the model folder has no tokenizer.json; expected "input_ids"`);
}
