/** Room: generate. Prompts to generate from: a text, or lines of texts, conversations or token ids that may name an adapter. */
import { option, UserError } from '../engine/errors.ts';
import { preview } from '../engine/io/files.ts';
import type { ModelConfig } from '../models/architecture.ts';
import type { TextTokenizer } from '../models/tokenizer.ts';
import { parseMasked, parseText } from '../data/examples.ts';
import { readRecords, type Fields } from '../data/records.ts';
import { isConversational, messagesColumn, parseExtra, parseMessages, type Chat } from '../data/lm/conversations.ts';
import { needChat, opened } from '../data/lm/encode.ts';
import { renderOptions } from '../data/lm/turns.ts';
import type { ChatFormat, Message } from '../models/chat/chat-format.ts';

/** A prompt as it was given: text, a conversation or token ids. */
export interface Prompt {
  /** File and line, or the flag. */
  readonly at: string;
  readonly text?: string;
  readonly chat?: Chat;
  readonly ids?: readonly number[];
  /** Name of an adapter; null: none; undefined: not said. */
  readonly adapter?: string | null;
}

/**
 * Reads JSON lines (or CSV, TSV) with `prompt`, or JSON lines with `messages` (or a `prompt` of them) and perhaps `tools`, or with
 * `input_ids` and perhaps `attention_mask`; and perhaps `adapter`: a name, or null for the base alone.
 * @throws UserError with file and line
 */
export async function readPrompts(path: string): Promise<Prompt[]> {
  const prompts: Prompt[] = [];
  for await (const record of readRecords(path)) prompts.push(parsePrompt(path, record));
  return prompts;
}

function parsePrompt(path: string, record: Fields): Prompt {
  const { line, fields } = record;
  const at = `${path}:${line}`;
  const { adapter } = fields;
  if (adapter !== undefined && adapter !== null && typeof adapter !== 'string')
    throw new UserError(`${at}: "adapter" is ${preview(adapter)}, expected a name, or null for none`);
  const named = { at, ...(adapter !== undefined && { adapter }) };
  if (isConversational(fields)) {
    const name = messagesColumn(fields) ?? 'prompt';
    return { ...named, chat: { messages: parseMessages(at, name, fields[name]), ...parseExtra(at, fields) } };
  }
  if (fields.input_ids === undefined && fields.prompt === undefined) {
    const found = Object.keys(fields).join(', ') || 'nothing';
    throw new UserError(`${at}: found ${found}, expected "prompt", "messages" or "input_ids"`);
  }
  if (fields.input_ids === undefined) return { ...named, text: parseText(path, record, 'prompt') };
  const { inputIds, attentionMask } = parseMasked(at, fields);
  return { ...named, ids: inputIds.filter((_, i) => attentionMask[i] === 1) };
}

/** How prompts become the turns of a conversation. */
export interface ChatOptions {
  /** The model's way to write conversations; undefined: it has no chat template. */
  readonly format: ChatFormat | undefined;
  /** Instructions before the conversation, where it has none. */
  readonly system: string | undefined;
}

/**
 * A prompt's tokens: with those that the tokenizer puts before a text, or as the chat template writes a conversation.
 * @param chat absent: texts are continued as they are
 * @throws UserError where there is no tokenizer for text, or no chat template for a conversation, an id is not in the vocabulary, or no
 * place is left for a new token
 */
export async function encodePrompt(
  prompt: Prompt,
  { maxTokens, vocabSize }: ModelConfig,
  tokenizer: TextTokenizer | undefined,
  chat?: ChatOptions,
): Promise<Int32Array> {
  const { at, ids, text } = prompt;
  if (ids && chat)
    throw new UserError(`${at}: found "input_ids", expected "prompt" or "messages" with ${option('chat')}`);
  if (!ids && !tokenizer)
    throw new UserError(`${at}: found text, but the model folder has no tokenizer.json; expected "input_ids"`);
  const tokens = ids ?? (await (chat ? chatTokens(prompt, chat, tokenizer!) : textTokens(at, text, tokenizer!)));
  if (tokens.length === 0) throw new UserError(`${at}: no tokens, expected a text to go on from`);
  if (tokens.length >= maxTokens)
    throw new UserError(`${at}: ${tokens.length} tokens, expected fewer than the ${maxTokens} that the model takes`);
  const outside = tokens.find((id) => id >= vocabSize);
  if (outside !== undefined)
    throw new UserError(`${at}: token ${outside}, expected ids below the model's vocabulary size ${vocabSize}`);
  return Int32Array.from(tokens);
}

async function textTokens(at: string, text: string | undefined, tokenizer: TextTokenizer): Promise<readonly number[]> {
  if (text === undefined) throw new UserError(`${at}: found a conversation; set ${option('chat')} to answer it`);
  return opened((await tokenizer.encode(text)).ids, tokenizer.eosId);
}

/** A last turn of the assistant's goes on; else its answer begins. */
async function chatTokens(
  { at, text, chat: given }: Prompt,
  { format, system }: ChatOptions,
  tokenizer: TextTokenizer,
): Promise<readonly number[]> {
  const conversation = given ?? { messages: [{ role: 'user', content: text! }] };
  const { messages: own } = conversation;
  const isTold = own[0]?.role === 'system' || own[0]?.role === 'developer';
  const messages: readonly Message[] =
    system === undefined || isTold ? own : [{ role: 'system', content: system }, ...own];
  const goesOn = messages.at(-1)?.role === 'assistant';
  const options = { ...renderOptions(conversation), addGenerationPrompt: !goesOn, continueFinalMessage: goesOn };
  try {
    const { text: written } = needChat(format, at).render(messages, options);
    return (await tokenizer.encode(written, undefined, { addSpecial: false })).ids;
  } catch (error) {
    throw error instanceof UserError && !error.message.startsWith(at)
      ? new UserError(`${at}: ${error.message}`)
      : error;
  }
}

/**
 * The token that ends a turn of the assistant's: the special token which the chat template writes behind its text.
 * @returns undefined where it writes none, or refuses a short conversation
 */
export async function endOfTurn(format: ChatFormat, tokenizer: TextTokenizer): Promise<number | undefined> {
  const messages = ['user', 'assistant'].map((role) => ({ role, content: MARK }));
  try {
    const { text } = format.render(messages);
    const after = text.slice(text.lastIndexOf(MARK) + MARK.length).trimStart();
    const [first] = (await tokenizer.encode(after, undefined, { addSpecial: false })).ids;
    return first !== undefined && tokenizer.specialIds.has(first) ? first : undefined;
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** A text that no template writes itself. */
const MARK = 'END-OF-TURN';
