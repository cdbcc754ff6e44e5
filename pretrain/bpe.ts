/**
 * Room: pretrain. Trains a byte-level BPE tokenizer (Sennrich et al. 2016; byte level as in GPT-2 and RoBERTa) and writes it in
 * Hugging Face's layout. Uncased: text is NFKC-normalised, typographic quotes made plain and letters lower-cased, by
 * normalizers that the tokenizer file itself names, so every reader of the file does the same.
 */
import { join } from 'node:path';
import { writeFileAtomic, writeJson } from '../engine/io/files.ts';

export interface BpeOptions {
  /** Size of the whole vocabulary: special tokens, 256 bytes, merges. Fewer where the text has no more pairs. */
  readonly vocabSize: number;
  /** A pair must occur this often to be merged. */
  readonly minFrequency: number;
  /** No token grows beyond this many bytes: keeps separator lines and addresses out of the vocabulary. */
  readonly maxTokenLength: number;
}

/** `tokens[id]` is the token's text; `merges` are in the order they were learned. */
export interface BpeVocabulary {
  readonly tokens: readonly string[];
  readonly merges: readonly (readonly [string, string])[];
}

/** Special tokens; position is the id, as in RoBERTa's files made by `ByteLevelBPETokenizer`. */
export const SPECIAL_TOKENS = ['<s>', '<pad>', '</s>', '<unk>', '<mask>'] as const;

/** GPT-2's pre-tokenizer: contractions, then runs of letters, digits or other marks with one leading space. */
const PRE_TOKEN = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

const NORMALIZER = {
  type: 'Sequence',
  normalizers: [
    { type: 'NFKC' },
    { type: 'Replace', pattern: { Regex: '[‘’‛`´]' }, content: "'" },
    { type: 'Replace', pattern: { Regex: '[“”„‟]' }, content: '"' },
    { type: 'Lowercase' },
  ],
};

/**
 * GPT-2's printable stand-in for every byte: printable Latin-1 characters stand for themselves, the others are moved to
 * code points from 256 up.
 */
export function byteCharacters(): string[] {
  let moved = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(printable ? byte : moved++);
  });
}

/** Pre-tokens of the texts with their counts, normalised, each text with a space before it. */
async function countPreTokens(texts: Iterable<string>): Promise<Map<string, number>> {
  const { Tokenizer } = await import('tokenizers');
  const normalizer = Tokenizer.fromString(JSON.stringify(tokenizerJson({ tokens: [], merges: [] }))).getNormalizer();
  const counts = new Map<string, number>();
  for (const text of texts) {
    const normal = normalizer?.normalizeString(text.toWellFormed()) ?? text;
    const prefixed = normal.startsWith(' ') ? normal : ` ${normal}`;
    for (const word of prefixed.match(PRE_TOKEN) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

interface Word {
  symbols: number[];
  readonly count: number;
}

/** Symbol ids stay below 2¹⁶, so a pair of them is one number. */
const PAIR_BASE = 65536;

/** Counts of adjacent pairs, kept up to date as words change, and where each pair may occur. */
class PairTable {
  readonly counts = new Map<number, number>();
  readonly #words = new Map<number, Set<Word>>();

  add(word: Word, sign: 1 | -1): void {
    const { symbols, count } = word;
    for (let i = 1; i < symbols.length; i++) {
      const pair = symbols[i - 1]! * PAIR_BASE + symbols[i]!;
      this.counts.set(pair, (this.counts.get(pair) ?? 0) + sign * count);
      if (sign < 0) continue;
      const words = this.#words.get(pair);
      if (words) words.add(word);
      else this.#words.set(pair, new Set([word]));
    }
  }

  /** The words that hold `pair`; forgets the pair, whose occurrences the caller merges. */
  take(pair: number): Set<Word> {
    const words = this.#words.get(pair) ?? new Set();
    this.#words.delete(pair);
    return words;
  }
}

/** Max-heap of pairs by count, equal counts by smaller pair first. Counts may go stale: `pop` checks them. */
class PairHeap {
  readonly #pairs: number[] = [];
  readonly #counts: number[] = [];

  push(pair: number, count: number): void {
    let i = this.#pairs.length;
    this.#pairs.push(pair);
    this.#counts.push(count);
    for (let up = (i - 1) >> 1; i > 0 && this.#before(i, up); up = (i - 1) >> 1) {
      this.#swap(i, up);
      i = up;
    }
  }

  /** The most frequent pair by `counts`, or undefined where none is left. */
  pop(counts: ReadonlyMap<number, number>): number | undefined {
    while (this.#pairs.length > 0) {
      const pair = this.#pairs[0]!;
      const stored = this.#counts[0]!;
      this.#removeTop();
      const count = counts.get(pair) ?? 0;
      if (count === stored) return pair;
      if (count > 0 && count < stored) this.push(pair, count);
    }
    return undefined;
  }

  #removeTop(): void {
    this.#swap(0, this.#pairs.length - 1);
    this.#pairs.pop();
    this.#counts.pop();
    for (let i = 0; ;) {
      let first = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < this.#pairs.length && this.#before(child, first)) first = child;
      }
      if (first === i) return;
      this.#swap(i, first);
      i = first;
    }
  }

  #before(i: number, j: number): boolean {
    const difference = this.#counts[i]! - this.#counts[j]!;
    return difference > 0 || (difference === 0 && this.#pairs[i]! < this.#pairs[j]!);
  }

  #swap(i: number, j: number): void {
    for (const list of [this.#pairs, this.#counts]) [list[i], list[j]] = [list[j]!, list[i]!];
  }
}

/** Learns merges until the vocabulary is full or no pair is frequent enough. Deterministic; ties go to smaller ids. */
export async function trainBpe(texts: Iterable<string>, options: BpeOptions): Promise<BpeVocabulary> {
  const characters = byteCharacters();
  const tokens: string[] = [...SPECIAL_TOKENS, ...[...characters].sort()];
  const idOfByte = characters.map((character) => tokens.indexOf(character));
  const encoder = new TextEncoder();
  const table = new PairTable();
  for (const [text, count] of await countPreTokens(texts)) {
    table.add({ symbols: Array.from(encoder.encode(text), (byte) => idOfByte[byte]!), count }, 1);
  }
  const heap = new PairHeap();
  for (const [pair, count] of table.counts) heap.push(pair, count);
  const merges: [string, string][] = [];
  while (tokens.length < options.vocabSize) {
    const pair = heap.pop(table.counts);
    if (pair === undefined || (table.counts.get(pair) ?? 0) < options.minFrequency) break;
    const [left, right] = [Math.floor(pair / PAIR_BASE), pair % PAIR_BASE];
    const [leftToken, rightToken] = [tokens[left]!, tokens[right]!];
    if (leftToken.length + rightToken.length > options.maxTokenLength) continue;
    const id = tokens.push(leftToken + rightToken) - 1;
    merges.push([leftToken, rightToken]);
    for (const grown of mergePair(table, left, right, id)) heap.push(grown, table.counts.get(grown) ?? 0);
  }
  return { tokens, merges };
}

/** Replaces the pair by `id` in every word; returns the pairs that `id` is now part of. */
function mergePair(table: PairTable, left: number, right: number, id: number): Set<number> {
  const grown = new Set<number>();
  for (const word of table.take(left * PAIR_BASE + right)) {
    table.add(word, -1);
    word.symbols = mergeSymbols(word.symbols, left, right, id);
    table.add(word, 1);
    word.symbols.forEach((symbol, i) => {
      if (symbol !== id) return;
      if (i > 0) grown.add(word.symbols[i - 1]! * PAIR_BASE + id);
      if (i + 1 < word.symbols.length) grown.add(id * PAIR_BASE + word.symbols[i + 1]!);
    });
  }
  return grown;
}

function mergeSymbols(symbols: readonly number[], left: number, right: number, id: number): number[] {
  const merged: number[] = [];
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      merged.push(id);
      i++;
    } else merged.push(symbols[i]!);
  }
  return merged;
}

/** The object a `tokenizer.json` holds. */
function tokenizerJson({ tokens, merges }: BpeVocabulary): object {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: content === '<mask>',
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: NORMALIZER,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    post_processor: {
      type: 'RobertaProcessing',
      sep: ['</s>', SPECIAL_TOKENS.indexOf('</s>')],
      cls: ['<s>', SPECIAL_TOKENS.indexOf('<s>')],
      trim_offsets: true,
      add_prefix_space: true,
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map((merge) => merge.join(' ')),
    },
  };
}

const SPECIAL_ROLES = {
  bos_token: '<s>',
  eos_token: '</s>',
  sep_token: '</s>',
  cls_token: '<s>',
  unk_token: '<unk>',
  pad_token: '<pad>',
  mask_token: '<mask>',
} as const;

/**
 * Writes `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json` into `folder`.
 * @param maxLength longest sequence of the model it is for, in tokens
 */
export async function writeTokenizer(folder: string, vocabulary: BpeVocabulary, maxLength: number): Promise<void> {
  const config = {
    // The generic class reads tokenizer.json as it is; RoBERTa's own would build its cased normalizer instead.
    tokenizer_class: 'PreTrainedTokenizerFast',
    ...SPECIAL_ROLES,
    model_max_length: maxLength,
    clean_up_tokenization_spaces: false,
  };
  // Tens of thousands of lines would help nobody: the vocabulary goes on one.
  await writeFileAtomic(join(folder, 'tokenizer.json'), `${JSON.stringify(tokenizerJson(vocabulary))}\n`);
  await writeJson(join(folder, 'tokenizer_config.json'), config);
  await writeJson(join(folder, 'special_tokens_map.json'), SPECIAL_ROLES);
}
