/**
 * Room: models. Text to token ids and back, from the files of a Hugging Face model folder, by Hugging Face's own tokenizers (the Rust
 * library, through its bindings). Reads the folder; touches nothing else.
 */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type * as Library from 'tokenizers';
import type { Encoding, Tokenizer } from 'tokenizers';
import { UserError } from '../engine/errors.ts';
import { fileError, parseJson, preview } from '../engine/io/files.ts';
import { TokenBatches } from './token-batches.ts';

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

/** A text's tokens with their places in it. */
export interface PlacedTokens {
  readonly ids: readonly number[];
  /** Begin and end of each token, UTF-16 units: [2·tokens]. */
  readonly offsets: Int32Array;
}

/** A pair of which the second text may be asked for by place. */
export interface EncodedQuestion extends Encoded {
  /** The second text's first token. */
  readonly from: number;
  /** Begin and end of each of its tokens in it, UTF-16 units: [2·tokens]. */
  readonly offsets: Int32Array;
}

/** Lone surrogates, which no tokenizer knows, are read as U+FFFD. */
export interface TextTokenizer {
  /** Largest id plus one, added tokens included. */
  readonly vocabSize: number;
  /** Ids by role; undefined where the tokenizer has no such token. */
  readonly padId: number | undefined;
  readonly maskId: number | undefined;
  readonly eosId: number | undefined;
  /** Stands for words that have no token. */
  readonly unkId: number | undefined;
  /** Ids that stand for no text. */
  readonly specialIds: ReadonlySet<number>;
  /** `model_max_length` of the tokenizer's configuration, where it gives a real limit. */
  readonly maxLength: number | undefined;
  /**
   * What is over `maxLength` is cut off, of a pair from the longer text first, at the side that the tokenizer's files name (right).
   * @throws UserError where a component is damaged, or a word has no token and none stands for it
   */
  encode(text: string, pair?: string, options?: EncodeOptions): Promise<Encoded>;
  /** The tokens of a text that has its special tokens already: none are added. @throws UserError as `encode` */
  encodePlaced(text: string): Promise<PlacedTokens>;
  /**
   * Pairs of the first text and windows of the second: as the reference tokenizers' `only_second` with overflow. At least one; of no
   * token of the second text where the first leaves no room.
   * @param stride tokens that two windows share, at most half of what fits
   */
  encodeQuestion(question: string, context: string, maxLength: number, stride: number): Promise<EncodedQuestion[]>;
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
  const [text, config, roles] = await Promise.all([
    readText(path),
    readObject(join(folder, 'tokenizer_config.json')),
    readObject(join(folder, 'special_tokens_map.json')),
  ]);
  if (text === undefined) {
    const code =
      'import sys; from transformers import AutoTokenizer as A; ' +
      'd = sys.argv[1]; A.from_pretrained(d).save_pretrained(d)';
    throw new UserError(
      `${path}: not found, expected the model's tokenizer; older folders get one with: python -c "${code}" ${folder}`,
    );
  }
  const json = parseObject(text, path);
  if (typeof json.model !== 'object' || json.model === null) {
    throw new UserError(`${path}: key "model" is missing, expected the vocabulary; is this a tokenizer.json?`);
  }
  assertSafe(path, json.pre_tokenizer);
  return new RustTokenizer(path, await readParts(path, text), json, { ...roles, ...config });
}

/** The text of a file, or undefined where there is no such file. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(path, error);
  }
}

/** The object a JSON file holds, or undefined where there is no such file. */
export async function readObject(path: string): Promise<Json | undefined> {
  const text = await readText(path);
  return text === undefined ? undefined : parseObject(text, path);
}

function parseObject(text: string, path: string): Json {
  const value = parseJson(text, path);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw new UserError(`${path}: found ${preview(value)}, expected a JSON object`);
}

/** What the library makes of a tokenizer's files. */
interface Parts {
  /** Makes tokens of a text, and no more. */
  readonly words: Tokenizer;
  /** The same for many texts. */
  readonly batches: TokenBatches;
  /** Makes one sequence of the tokens of one text or two: the post-processor. */
  readonly frame: Tokenizer;
  /** Tokens of no text. */
  readonly none: Encoding;
}

/** @throws UserError where it has no binary for this platform */
async function loadLibrary(): Promise<typeof Library> {
  try {
    return await import('tokenizers');
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    throw new UserError(`tokenizers: cannot be loaded on ${process.platform} ${process.arch}: ${reason}`);
  }
}

/** @throws UserError for chunks of no length, which end the whole process within the library */
function assertSafe(path: string, component: unknown): void {
  if (typeof component !== 'object' || component === null) return;
  const { type, length, pretokenizers = [] } = component as Json;
  if (type === 'FixedLength' && length === 0)
    throw new UserError(`${path}: FixedLength has length 0, expected at least 1`);
  for (const part of [pretokenizers].flat()) assertSafe(path, part);
}

async function readParts(path: string, json: string): Promise<Parts> {
  const { BPE, Tokenizer, sequenceProcessing } = await loadLibrary();
  try {
    const words = Tokenizer.fromString(json);
    words.disableTruncation();
    words.disablePadding();
    const frame = new Tokenizer(BPE.empty());
    frame.setPostProcessor(words.getPostProcessor() ?? sequenceProcessing([]));
    words.setPostProcessor(sequenceProcessing([]));
    const none = await words.encode('');
    none.truncate(0);
    return { words, batches: new TokenBatches(words), frame, none };
  } catch (error) {
    throw new UserError(`${path}: cannot be read as a tokenizer: ${(error as Error).message}`);
  }
}

class RustTokenizer implements TextTokenizer {
  readonly vocabSize: number;
  readonly padId: number | undefined;
  readonly maskId: number | undefined;
  readonly eosId: number | undefined;
  readonly unkId: number | undefined;
  readonly specialIds: ReadonlySet<number>;
  readonly maxLength: number | undefined;
  readonly #path: string;
  readonly #parts: Parts;
  readonly #special: ReadonlySet<string>;
  readonly #side: 'left' | 'right';
  /** Special tokens of a text, and of a pair. */
  readonly #specialCounts: [number?, number?] = [];

  constructor(path: string, parts: Parts, json: Json, config: Json) {
    const { words } = parts;
    const role = (key: string): number | undefined => {
      const content: unknown = contentOf(config[key]);
      if (content === undefined || content === null) return undefined;
      if (typeof content === 'string') return words.tokenToId(content) ?? undefined;
      const file = join(dirname(path), 'tokenizer_config.json');
      throw new UserError(`${file}: key "${key}": found ${preview(config[key])}, expected a token's text`);
    };
    const limit = config.model_max_length;
    this.#path = path;
    this.#parts = parts;
    this.#special = specialTokens(json);
    this.#side = truncationSide(json, config);
    this.vocabSize = 1 + Object.values(words.getVocab()).reduce((a, b) => Math.max(a, b), -1);
    this.padId = role('pad_token');
    this.maskId = role('mask_token');
    this.eosId = role('eos_token');
    this.unkId = unknownId(words, json.model as Json);
    this.specialIds = new Set([...this.#special].flatMap((token) => words.tokenToId(token) ?? []));
    this.maxLength = typeof limit === 'number' && limit < NO_LIMIT ? limit : undefined;
  }

  encode(
    text: string,
    pair?: string,
    { maxLength = Infinity, addSpecial = true }: EncodeOptions = {},
  ): Promise<Encoded> {
    return this.#sound(async ({ frame }) => {
      const [first, second] = await this.#tokens(text, pair);
      const room = Math.max(0, maxLength - (addSpecial ? this.#specialCount(second !== undefined) : 0));
      const [all1, all2] = [first.getLength(), second?.getLength() ?? 0];
      const [n1, n2] = longestFirst(all1, all2, room);
      if (n1 < all1) first.truncate(n1, 0, this.#side);
      if (n2 < all2) second?.truncate(n2, 0, this.#side);
      return encodedOf(frame.postProcess(first, second, addSpecial));
    });
  }

  encodePlaced(text: string): Promise<PlacedTokens> {
    return this.#sound(async ({ frame }) => {
      const [tokens] = await this.#tokens(text);
      const encoding = frame.postProcess(tokens, undefined, false);
      return { ids: encoding.getIds(), offsets: Int32Array.from(encoding.getOffsets().flat(), unitsOf(text)) };
    });
  }

  encodeQuestion(question: string, context: string, maxLength: number, stride: number): Promise<EncodedQuestion[]> {
    return this.#sound(async ({ frame }) => {
      const [first, second] = (await this.#tokens(question, context)) as [Encoding, Encoding];
      const room = Math.max(0, maxLength - first.getLength() - this.#specialCount(true));
      second.truncate(room, Math.min(stride, Math.floor(room / 2)), this.#side);
      const parts = room > 0 ? [second, ...second.getOverflowing()] : [second];
      const unitOf = unitsOf(context);
      return parts.map((part) => {
        const window = frame.postProcess(first, part);
        return { ...encodedOf(window), ...secondOf(window, unitOf) };
      });
    });
  }

  decode(ids: readonly number[], keepSpecial = false): string {
    const { words } = this.#parts;
    const tokens = ids.flatMap((id) => words.idToToken(id) ?? []);
    const shown = keepSpecial ? tokens : tokens.filter((token) => !this.#special.has(token));
    const decoder = words.getDecoder();
    return decoder ? decoder.decode(shown) : shown.join(' ');
  }

  async #tokens(...[text, pair]: [string, string?]): Promise<[Encoding, Encoding?]> {
    const { batches } = this.#parts;
    const first = batches.encode(text.toWellFormed());
    return pair === undefined ? [await first] : Promise.all([first, batches.encode(pair.toWellFormed())]);
  }

  #specialCount(isPair: boolean): number {
    const { frame, none } = this.#parts;
    const count = (): number => frame.postProcess(none, isPair ? none : undefined).getLength();
    return (this.#specialCounts[Number(isPair)] ??= count());
  }

  /** What only shows when a text comes: a component that names parts it does not have. */
  async #sound<T>(work: (parts: Parts) => Promise<T>): Promise<T> {
    try {
      return await work(this.#parts);
    } catch (error) {
      throw new UserError(`${this.#path}: a component is damaged: ${preview((error as Error).message)}`);
    }
  }
}

/** Of a token that is a string, or an object with its flags. */
export function contentOf(token: unknown): string | undefined {
  return typeof token === 'string' ? token : (token as { content?: string } | null | undefined)?.content;
}

/** Unigram models name it by its id. */
function unknownId(words: Tokenizer, { unk_token: token, unk_id: id }: Json): number | undefined {
  if (typeof id === 'number') return id;
  return typeof token === 'string' ? (words.tokenToId(token) ?? undefined) : undefined;
}

/** What `decode` leaves out. */
function specialTokens({ added_tokens: added }: Json): ReadonlySet<string> {
  const tokens = (added ?? []) as readonly { readonly content: string; readonly special: boolean }[];
  return new Set(tokens.filter(({ special }) => special).map(({ content }) => content));
}

function truncationSide({ truncation }: Json, { truncation_side: side }: Json): 'left' | 'right' {
  const own = (truncation as { direction?: string } | null | undefined)?.direction;
  return (side ?? own) === 'left' || (side ?? own) === 'Left' ? 'left' : 'right';
}

function encodedOf(encoding: Encoding): Encoded {
  return { ids: encoding.getIds(), typeIds: encoding.getTypeIds() };
}

/** Where the second text's tokens are in a sequence, and in that text. */
function secondOf(encoding: Encoding, unitOf: (character: number) => number): Omit<EncodedQuestion, keyof Encoded> {
  const owners = encoding.getSequenceIds();
  const from = Math.max(0, owners.indexOf(1));
  const offsets = encoding.getOffsets().slice(from, owners.lastIndexOf(1) + 1);
  return { from, offsets: Int32Array.from(offsets.flat(), unitOf) };
}

/** The UTF-16 unit at which each character of a text begins. */
function unitsOf(text: string): (character: number) => number {
  if (!/[\ud800-\udbff][\udc00-\udfff]/.test(text)) return (character) => character;
  const units = [0];
  for (const character of text) units.push(units[units.length - 1]! + character.length);
  return (character) => units[character]!;
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
