/**
 * Room: models. Text to token ids and back, from the files of a Hugging Face model folder. Wraps `@huggingface/tokenizers`,
 * adding truncation that keeps the special tokens, as the reference tokenizers do. Reads the folder; touches nothing else.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { UserError } from '../engine/errors.ts';
import { fileError, parseJson, preview } from '../engine/io/files.ts';
import { tokenOffsets, type TokenStyle } from './offsets.ts';

export interface EncodeOptions {
  /** Longest result, special tokens included; no limit where absent. */
  readonly maxLength?: number;
  /** Adds the model's special tokens (`<s> … </s>`, `[CLS] … [SEP]`); true unless set. */
  readonly addSpecial?: boolean;
}

export interface Encoded {
  readonly ids: readonly number[];
  /** Segment of each token: 1 for the second text where the model tells segments apart (BERT), else 0. */
  readonly typeIds: readonly number[];
}

/** A pair of which the second text may be asked for by place. */
export interface EncodedQuestion extends Encoded {
  /** The second text's first token. */
  readonly from: number;
  /** Begin and end of each of its tokens in it, UTF-16 units: [2·tokens]. */
  readonly offsets: Int32Array;
}

export interface TextTokenizer {
  /** Largest id plus one, added tokens included. */
  readonly vocabSize: number;
  /** Ids by role; undefined where the tokenizer has no such token. */
  readonly padId: number | undefined;
  readonly maskId: number | undefined;
  readonly eosId: number | undefined;
  /** Ids that stand for no text. */
  readonly specialIds: ReadonlySet<number>;
  /** `model_max_length` of the tokenizer's configuration, where it gives a real limit. */
  readonly maxLength: number | undefined;
  encode(text: string, pair?: string, options?: EncodeOptions): Encoded;
  /**
   * Pairs of the first text and windows of the second, in order: as the reference tokenizers' `only_second` with overflow. At least one; of
   * no token of the second text where the first leaves no room.
   * @param stride tokens that two windows share, at most half of what fits
   */
  encodeQuestion(question: string, context: string, maxLength: number, stride: number): EncodedQuestion[];
  /** The text of ids; special tokens are left out unless `keepSpecial`. */
  decode(ids: readonly number[], keepSpecial?: boolean): string;
}

type Json = Record<string, unknown>;

/** `model_max_length` is about 1e30 where a tokenizer has no limit. */
const NO_LIMIT = 1e9;

/**
 * Reads `tokenizer.json` and, where they exist, `tokenizer_config.json` and `special_tokens_map.json`.
 * @throws UserError where a file is missing or corrupt, or names a component that is not supported
 */
export async function loadTokenizer(folder: string): Promise<TextTokenizer> {
  const path = join(folder, 'tokenizer.json');
  const [json, config, roles] = await Promise.all([
    readObject(path),
    readObject(join(folder, 'tokenizer_config.json')),
    readObject(join(folder, 'special_tokens_map.json')),
  ]);
  if (json === undefined) {
    const code =
      'import sys; from transformers import AutoTokenizer as A; ' +
      'd = sys.argv[1]; A.from_pretrained(d).save_pretrained(d)';
    throw new UserError(
      `${path}: not found, expected the model's tokenizer; older folders get one with: python -c "${code}" ${folder}`,
    );
  }
  if (typeof json.model !== 'object' || json.model === null) {
    throw new UserError(`${path}: key "model" is missing, expected the vocabulary; is this a tokenizer.json?`);
  }
  let tokenizer: Tokenizer;
  try {
    tokenizer = new Tokenizer({ added_tokens: [], ...WITHOUT_COMPONENTS, ...json }, config ?? {});
  } catch (error) {
    throw new UserError(`${path}: cannot be read as a tokenizer: ${(error as Error).message}`);
  }
  return wrap(path, tokenizer, json, { ...roles, ...config });
}

/** The library wants every key, while files may leave out what they do not use. */
const WITHOUT_COMPONENTS = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };

/** The object a JSON file holds, or undefined where there is no such file. */
async function readObject(path: string): Promise<Json | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(path, error);
  }
  const value = parseJson(text, path);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw new UserError(`${path}: found ${preview(value)}, expected a JSON object`);
}

function wrap(path: string, tokenizer: Tokenizer, json: Json, config: Json): TextTokenizer {
  const vocabSize = 1 + Math.max(-1, ...tokenizer.get_vocab().values());
  const role = (key: string): number | undefined => {
    const token = config[key];
    const content = typeof token === 'string' ? token : (token as { content?: string } | null | undefined)?.content;
    return content === undefined ? undefined : tokenizer.token_to_id(content);
  };
  const added = [...tokenizer.get_added_tokens_decoder().entries()];
  const limit = config.model_max_length;
  // RoBERTa has one segment; its post-processor's segment numbers are for offsets only.
  const oneSegment = (json.post_processor as { type?: string } | null | undefined)?.type === 'RobertaProcessing';

  const unknown = role('unk_token') ?? unknownId(json, tokenizer);
  const toId = (token: string): number => {
    const id = tokenizer.token_to_id(token) ?? unknown;
    if (id === undefined)
      throw new UserError(`${path}: no id for the token "${token}" and no unk_token to stand for it`);
    return id;
  };
  const assemble = (first: string[], second: string[] | null): Assembled => {
    const done: Assembled = tokenizer.post_processor?.post_process(first, second, true) ?? { tokens: first };
    // Post-processors without a template, such as GPT-2's, leave the second text apart.
    const rest = tokenizer.post_processor ? done.tokens_pair : second;
    return rest
      ? { tokens: [...done.tokens, ...rest], token_type_ids: segments(done.tokens.length, rest.length) }
      : done;
  };

  const encode = (text: string, pair?: string, options: EncodeOptions = {}): Encoded => {
    const { maxLength = Infinity, addSpecial = true } = options;
    const first = tokenizer.tokenize(text);
    const second = pair === undefined ? null : tokenizer.tokenize(pair);
    const added = addSpecial ? assemble([], second && []).tokens.length : 0;
    const [n1, n2] = longestFirst(first.length, second?.length ?? 0, Math.max(0, maxLength - added));
    const [head, tail] = [first.slice(0, n1), second && second.slice(0, n2)];
    const { tokens, token_type_ids: types = [] } = addSpecial
      ? assemble(head, tail)
      : { tokens: [...head, ...(tail ?? [])], token_type_ids: segments(head.length, tail?.length ?? 0) };
    return { ids: tokens.map(toId), typeIds: tokens.map((_, i) => (oneSegment ? 0 : (types[i] ?? 0))) };
  };
  const style = styleOf(json, tokenizer, config);
  const encodeQuestion = (question: string, context: string, maxLength: number, stride: number): EncodedQuestion[] => {
    const first = tokenizer.tokenize(question);
    const whole = tokenizer.tokenize(context);
    const offsets = tokenOffsets(context, whole, style);
    const room = Math.max(0, maxLength - first.length - assemble([], []).tokens.length);
    return windowStarts(whole.length, room, stride).map((start) => {
      const second = whole.slice(start, start + room);
      const { tokens, token_type_ids: types = [] } = assemble(first, second);
      const mark = (i: number): string => `\0${i}`;
      const marked = assemble(
        first,
        second.map((_, i) => mark(i)),
      ).tokens;
      return {
        ids: tokens.map(toId),
        typeIds: tokens.map((_, i) => (oneSegment ? 0 : (types[i] ?? 0))),
        from: Math.max(0, marked.indexOf(mark(0))),
        offsets: offsets.slice(2 * start, 2 * (start + second.length)),
      };
    });
  };
  /** What only shows when a text comes: a component that names parts it does not have. */
  const sound = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new UserError(`${path}: a component is damaged: ${preview((error as Error).message)}`);
    }
  };
  return {
    vocabSize,
    padId: role('pad_token'),
    maskId: role('mask_token'),
    eosId: role('eos_token'),
    specialIds: new Set(added.filter(([, token]) => token.special).map(([id]) => id)),
    maxLength: typeof limit === 'number' && limit < NO_LIMIT ? limit : undefined,
    encode: (text, pair, options) => sound(() => encode(text, pair, options)),
    encodeQuestion: (...parts) => sound(() => encodeQuestion(...parts)),
    decode: (ids, keepSpecial = false) =>
      ids.length === 0 ? '' : sound(() => tokenizer.decode([...ids], { skip_special_tokens: !keepSpecial })),
  };
}

interface Assembled {
  readonly tokens: string[];
  readonly token_type_ids?: number[];
  readonly tokens_pair?: string[] | null;
}

function styleOf({ model, pre_tokenizer: before }: Json, tokenizer: Tokenizer, config: Json): TokenStyle {
  const { type, unk_token: token, continuing_subword_prefix: prefix } = model as Json;
  const unknown = token ?? config.unk_token;
  return {
    normalize: (character) => tokenizer.normalizer?.normalize(character) ?? character,
    // The one component that writes bytes stands alone or in a sequence.
    byteLevel: JSON.stringify(before ?? null).includes('"ByteLevel"'),
    continuing: typeof prefix === 'string' ? prefix : type === 'WordPiece' ? '##' : '',
    unknown: typeof unknown === 'string' ? unknown : undefined,
  };
}

/** What the model itself says stands for unknown text: a token (BPE, WordPiece), or an id (unigram). */
function unknownId({ model }: Json, tokenizer: Tokenizer): number | undefined {
  const { unk_token: token, unk_id: id } = model as Json;
  if (typeof token === 'string') return tokenizer.token_to_id(token);
  return typeof id === 'number' ? id : undefined;
}

/** Where windows of `room` tokens begin that cover `count`, each sharing `stride` tokens with the one before, at most half of them. */
function windowStarts(count: number, room: number, stride: number): number[] {
  const starts = [0];
  const step = room - Math.min(stride, Math.floor(room / 2));
  for (let start = 0; step > 0 && start + room < count; start += step) starts.push(start + step);
  return starts;
}

function segments(first: number, second: number): number[] {
  return [...new Array<number>(first).fill(0), ...new Array<number>(second).fill(1)];
}

/**
 * Lengths after truncation to `limit` in all, the longer text giving way first: the `longest_first` of the reference
 * tokenizers, odd remainder to the longer text.
 */
export function longestFirst(first: number, second: number, limit: number): [number, number] {
  if (first + second <= limit) return [first, second];
  const shorter = Math.min(first, second);
  let [low, high] = [shorter, Math.max(shorter, limit - shorter)];
  if (low + high > limit) {
    low = Math.floor(limit / 2);
    high = limit - low;
  }
  return first > second ? [high, low] : [low, high];
}
