/** Room: generate. Prompts to generate from: a text, or lines of texts or token ids that may name an adapter. */
import { UserError } from '../engine/errors.ts';
import { preview } from '../engine/io/files.ts';
import type { ModelConfig } from '../models/architecture.ts';
import type { TextTokenizer } from '../models/tokenizer.ts';
import { parseMasked, parseText } from '../data/examples.ts';
import { readRecords, type Fields } from '../data/records.ts';
import { opened } from '../data/lm/encode.ts';

/** A prompt as it was given: text or token ids. */
export interface Prompt {
  /** File and line, or the flag. */
  readonly at: string;
  readonly text?: string;
  readonly ids?: readonly number[];
  /** Name of an adapter; null: none; undefined: not said. */
  readonly adapter?: string | null;
}

/**
 * Reads JSON lines (or CSV, TSV) with `prompt`, or JSON lines with `input_ids` and perhaps `attention_mask`, and perhaps `adapter`: a name, or null for the base
 * alone. @throws UserError with file and line
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
  if (fields.input_ids === undefined && fields.prompt === undefined) {
    const found = Object.keys(fields).join(', ') || 'nothing';
    throw new UserError(`${at}: found ${found}, expected "prompt" or "input_ids"`);
  }
  if (fields.input_ids === undefined) return { ...named, text: parseText(path, record, 'prompt') };
  const { inputIds, attentionMask } = parseMasked(at, fields);
  return { ...named, ids: inputIds.filter((_, i) => attentionMask[i] === 1) };
}

/**
 * A prompt's tokens, with those that the tokenizer puts before a text.
 * @throws UserError where there is no tokenizer for text, an id is not in the vocabulary, or no place is left for a new token
 */
export async function encodePrompt(
  { at, text, ids }: Prompt,
  { maxTokens, vocabSize }: ModelConfig,
  tokenizer: TextTokenizer | undefined,
): Promise<Int32Array> {
  if (text !== undefined && !tokenizer)
    throw new UserError(`${at}: found text, but the model folder has no tokenizer.json; expected "input_ids"`);
  const tokens = ids ?? opened((await tokenizer!.encode(text as string)).ids, tokenizer!.eosId);
  if (tokens.length === 0) throw new UserError(`${at}: no tokens, expected a text to go on from`);
  if (tokens.length >= maxTokens)
    throw new UserError(`${at}: ${tokens.length} tokens, expected fewer than the ${maxTokens} that the model takes`);
  const outside = tokens.find((id) => id >= vocabSize);
  if (outside !== undefined)
    throw new UserError(`${at}: token ${outside}, expected ids below the model's vocabulary size ${vocabSize}`);
  return Int32Array.from(tokens);
}
