/**
 * Room: data/lm. From documents to examples for a causal language model: what is read, and at which tokens it is asked for the
 * next one.
 */
import { option, UserError } from '../../engine/errors.ts';
import { warn } from '../../engine/warnings.ts';
import type { ChatFormat } from '../../models/chat/chat-format.ts';
import type { TextEncoder } from '../../models/lazy-tokenizer.ts';
import { checkedIds } from '../encode.ts';
import { IGNORE_INDEX } from '../encoded-example.ts';
import { ExampleStore, type Tokens } from '../example-store.ts';
import { inOrder } from '../map-in-order.ts';
import type { DataOptions } from '../options.ts';
import type { Conversation } from './conversations.ts';
import type { Completion, LanguageFile, LanguageRow, TokenDocument } from './documents.ts';
import { assistantSpans, renderOptions, type Span } from './turns.ts';

/** What documents are encoded for. */
export interface LanguageOptions {
  /** Longest example; documents are packed into blocks of as many tokens. */
  readonly maxLength: number;
  /** Token ids the model has embeddings for. */
  readonly vocabSize: number;
  /** Not needed for files that are tokenised already. */
  readonly tokenizer: TextEncoder | undefined;
  /** Ends a document or a completion where the tokenizer has no end token; undefined: the model knows none. */
  readonly endId: number | undefined;
  /** Writes conversations; absent: the model has no chat template. */
  readonly chat?: ChatFormat | undefined;
  /** Of conversations and of prompts with completions: what is learned; absent: the assistant's part. */
  readonly lossOn?: DataOptions['lossOn'];
}

/**
 * The rows of a data file as examples with `tokenLabels`, while it is read; documents are packed one after the other, each closed by the end
 * token. Rows without a token to learn are left out, with a warning.
 * @throws UserError with file and line, where nothing is left to learn or a token is not in the vocabulary
 */
export async function encodeLanguageFile(
  { path, rows }: LanguageFile,
  options: LanguageOptions,
): Promise<ExampleStore> {
  const examples = new ExampleStore();
  const packer = new Packer(options.maxLength, examples);
  const [left, cut]: [string[], string[]] = [[], []];
  let [total, isUnanswered] = [0, false];
  for await (const { at, tokens, isCut, hasNoAnswer } of inOrder(rows, (row) =>
    encodeRow(row, options, `${path}:${row.line}`),
  )) {
    total++;
    if (isCut) cut.push(at);
    if (tokens instanceof Int32Array) packer.add(tokens);
    else if (isLearned(tokens)) examples.push(tokens);
    else {
      left.push(at);
      isUnanswered ||= hasNoAnswer ?? false;
    }
  }
  packer.finish();
  const { maxLength } = options;
  if (cut.length > 0)
    warn(
      `${path}: ${cut.length} of ${total} conversations cut to ${maxLength} tokens (${option('maxLength')}); the first: ${cut[0]}`,
    );
  const hint = isUnanswered
    ? `; there are conversations without a turn of the assistant: set ${option('lossOn')} to all to learn every turn`
    : '';
  if (examples.length === 0)
    throw new UserError(`${path}: no token to learn, expected at least one after a row's first${hint}`);
  if (left.length > 0)
    warn(`${path}: ${left.length} of ${total} rows left out, without a token to learn; the first: ${left[0]}${hint}`);
  return examples;
}

/** Each row of a data file as an example of its own, without any left out, to predict. @throws UserError as `encodeLanguageFile` */
export async function encodeLanguageRows(
  { path, rows }: LanguageFile,
  options: LanguageOptions,
): Promise<ExampleStore> {
  const examples = new ExampleStore();
  for await (const { tokens } of inOrder(rows, (row) => encodeRow(row, options, `${path}:${row.line}`)))
    examples.push(tokens instanceof Int32Array ? tokensOf(tokens, tokens) : tokens);
  return examples;
}

/** Of a document its tokens alone: it is packed with others. */
interface EncodedRow {
  readonly at: string;
  readonly tokens: Tokens | Int32Array;
  /** Whether its end was left out. */
  readonly isCut?: boolean;
  /** Whether it is a conversation without a turn of the assistant. */
  readonly hasNoAnswer?: boolean;
}

async function encodeRow(row: LanguageRow, options: LanguageOptions, at: string): Promise<EncodedRow> {
  if ('inputIds' in row) return { at, tokens: encodeTokens(row, options, at) };
  if ('prompt' in row) return { at, tokens: await encodeCompletion(row, options, at) };
  if ('messages' in row) return { at, ...(await encodeConversation(row, options, at)) };
  const words = needTokenizer(options.tokenizer, at);
  const { ids } = await words.encode(row.text);
  const endId = (await words.eosId) ?? options.endId;
  return { at, tokens: checkedIds(closed(ids, endId), options.vocabSize, at) };
}

/** Cuts documents, one after the other, into blocks; a last block may be shorter. */
class Packer {
  readonly #examples: ExampleStore;
  readonly #block: Int32Array;
  #count = 0;

  constructor(maxLength: number, examples: ExampleStore) {
    this.#block = new Int32Array(maxLength);
    this.#examples = examples;
  }

  add(tokens: Int32Array): void {
    for (let at = 0; at < tokens.length;) {
      const part = tokens.subarray(at, at + this.#block.length - this.#count);
      this.#block.set(part, this.#count);
      this.#count += part.length;
      at += part.length;
      if (this.#count === this.#block.length) this.finish();
    }
  }

  /** The block as it is. A token alone has none to learn. */
  finish(): void {
    const ids = this.#block.subarray(0, this.#count);
    if (this.#count > 1) this.#examples.push(tokensOf(ids, ids));
    this.#count = 0;
  }
}

async function encodeCompletion(
  { prompt, completion }: Completion,
  { tokenizer, maxLength, vocabSize, endId: otherEnd, lossOn }: LanguageOptions,
  at: string,
): Promise<Tokens> {
  const words = needTokenizer(tokenizer, at);
  const endId = (await words.eosId) ?? otherEnd;
  const before = opened((await words.encode(prompt)).ids, endId);
  const after = closed((await words.encode(completion, undefined, { addSpecial: false })).ids, endId);
  if (before.length >= maxLength) {
    throw new UserError(
      `${at}: "prompt" has ${before.length} tokens, expected fewer than ${maxLength} to leave room for the completion; raise ${option('maxLength')}`,
    );
  }
  const ids = checkedIds([...before, ...after].slice(0, maxLength), vocabSize, at);
  return tokensOf(
    ids,
    ids.map((id, i) => (i < before.length && lossOn !== 'all' ? IGNORE_INDEX : id)),
  );
}

/** As the model's chat template writes it, from the start up to `maxLength` tokens. */
async function encodeConversation(
  conversation: Conversation,
  { tokenizer, chat, maxLength, vocabSize, lossOn }: LanguageOptions,
  at: string,
): Promise<Omit<EncodedRow, 'at'> & { readonly tokens: Tokens }> {
  const words = needTokenizer(tokenizer, at);
  const { text, spans } = written(needChat(chat, at), conversation, lossOn === 'all', at);
  const { ids, offsets } = await words.encodePlaced(text);
  const kept = checkedIds(ids.slice(0, maxLength), vocabSize, at);
  const isLearned = (i: number): boolean => !spans || overlaps(spans, offsets[2 * i]!, offsets[2 * i + 1]!);
  const labels = kept.map((id, i) => (isLearned(i) ? id : IGNORE_INDEX));
  const hasNoAnswer = !conversation.messages.some(({ role }) => role === 'assistant');
  return { tokens: tokensOf(kept, labels), isCut: kept.length < ids.length, hasNoAnswer };
}

/** A conversation's text with the parts that are learned; undefined: all. */
function written(
  chat: ChatFormat,
  conversation: Conversation,
  isAll: boolean,
  at: string,
): { readonly text: string; readonly spans: readonly Span[] | undefined } {
  try {
    const rendered = chat.render(conversation.messages, renderOptions(conversation));
    const { text } = rendered;
    return { text, spans: isAll ? undefined : assistantSpans(chat, conversation, rendered) };
  } catch (error) {
    throw error instanceof UserError ? new UserError(`${at}: ${error.message}`) : error;
  }
}

function overlaps(spans: readonly Span[], begin: number, end: number): boolean {
  return spans.some(([from, to]) => begin < to && end > from);
}

function encodeTokens(
  { inputIds, attentionMask, labels }: TokenDocument,
  { maxLength, vocabSize }: LanguageOptions,
  at: string,
): Tokens {
  if (inputIds.length > maxLength) {
    throw new UserError(
      `${at}: "input_ids" has ${inputIds.length} tokens, expected at most ${maxLength}; raise ${option('maxLength')} or cut them`,
    );
  }
  const outside = [...inputIds, ...labels].find((id) => id >= vocabSize);
  if (outside !== undefined) {
    throw new UserError(`${at}: token ${outside}, expected ids below the model's vocabulary size ${vocabSize}`);
  }
  return { ...tokensOf(Int32Array.from(inputIds), Int32Array.from(labels)), mask: Int32Array.from(attentionMask) };
}

/** What is read, and at which tokens the next one is asked for. */
export function tokensOf(ids: Int32Array, tokenLabels: Int32Array): Tokens {
  const { length } = ids;
  return { ids, mask: new Int32Array(length).fill(1), typeIds: new Int32Array(length), tokenLabels };
}

/** @throws UserError that says how a model gets a chat template */
export function needChat(chat: ChatFormat | undefined, at: string): ChatFormat {
  if (chat) return chat;
  throw new UserError(
    `${at}: found a conversation, but the model folder has no chat template; expected "chat_template" in tokenizer_config.json, or chat_template.jinja`,
  );
}

/** Whether there is a token to learn. The first is never asked for. */
function isLearned({ tokenLabels }: Tokens): boolean {
  return tokenLabels?.subarray(1).some((label) => label >= 0) ?? false;
}

/** With the end token, which some tokenizers add themselves. */
function closed(ids: readonly number[], endId: number | undefined): readonly number[] {
  return endId === undefined || (ids.length > 1 && ids[ids.length - 1] === endId) ? ids : [...ids, endId];
}

/** A prompt goes on: without the end token of tokenizers that add it. */
export function opened(ids: readonly number[], endId: number | undefined): readonly number[] {
  return ids.length > 1 && ids[ids.length - 1] === endId ? ids.slice(0, -1) : ids;
}

/** @throws UserError where there is none */
export function needTokenizer(tokenizer: TextEncoder | undefined, at: string): TextEncoder {
  if (tokenizer) return tokenizer;
  throw new UserError(`${at}: found text, but the model folder has no tokenizer.json; expected "input_ids"`);
}
