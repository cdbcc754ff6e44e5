/**
 * Room: pretrain. The host side of masked language modelling (Devlin et al. 2019; dynamic masking as in RoBERTa, Liu et al.
 * 2019): packs documents into blocks and masks a batch anew at every step. A batch depends only on the options and its
 * step, so that a resumed run reads the same batches. Touches nothing.
 */
import type { TextTokenizer } from '../models/tokenizer.ts';
import { hostRandom, STREAM, type HostRandom } from '../engine/random.ts';
import type { CorpusDocument } from './corpora.ts';

/** Token ids `<s> … </s>`, at most the block length; `source` is the corpus source of all its documents. */
export interface Block {
  readonly source: string;
  readonly ids: Int32Array;
}

/** Ids the packing and masking need; the tokenizer must have `<s>`, `</s>`, `<pad>` and `<mask>`. */
export interface MlmVocabulary {
  readonly size: number;
  readonly bos: number;
  readonly eos: number;
  readonly pad: number;
  readonly mask: number;
  readonly special: ReadonlySet<number>;
}

export interface MlmOptions {
  readonly vocabulary: MlmVocabulary;
  readonly batchSize: number;
  /** Tokens of every row; longer blocks are not allowed. */
  readonly maxLength: number;
  /** Share of a block's text tokens to predict, in (0, 1). */
  readonly probability: number;
  readonly seed: number;
}

/**
 * One step's input, B = batchSize, S = maxLength. P, the number of predictions there is room for, is the same at every step.
 */
export interface MlmBatch {
  /** [B, S], masked and padded. */
  readonly inputIds: Int32Array;
  /** [B, S], 1 for tokens and 0 for padding. */
  readonly attentionMask: Int32Array;
  /** [P] flat indices into [B·S] of the tokens to predict, ascending, then −1. */
  readonly positions: Int32Array;
  /** [P] the tokens that were there, then −100. */
  readonly labels: Int32Array;
  /** Predictions in this batch, at most P. */
  readonly count: number;
}

/**
 * The rows of a batch, so many at a time; the last part is filled up with padding.
 * @param batch of `of` rows of `seq` tokens
 */
export function splitRows(batch: MlmBatch, rows: number, of: number, seq: number): MlmBatch[] {
  const room = batch.positions.length / of;
  return Array.from({ length: Math.ceil(of / rows) }, (_, part) => {
    const [start, end] = [part * rows * seq, (part + 1) * rows * seq];
    const grid = (values: Int32Array): Int32Array => filled(values.subarray(start, end), rows * seq, 0);
    const within = batch.positions.subarray(0, batch.count);
    const [first, last] = [within.filter((at) => at < start).length, within.filter((at) => at < end).length];
    return {
      inputIds: grid(batch.inputIds),
      attentionMask: grid(batch.attentionMask),
      positions: filled(
        within.subarray(first, last).map((at) => at - start),
        rows * room,
        -1,
      ),
      labels: filled(batch.labels.subarray(first, last), rows * room, -100),
      count: last - first,
    };
  });
}

/** `values`, filled up to a length. */
function filled(values: Int32Array, length: number, filling: number): Int32Array {
  const whole = new Int32Array(length).fill(filling);
  whole.set(values);
  return whole;
}

/** Of the tokens to predict, the share replaced by `<mask>`, and the share replaced by a random token; the rest stay. */
const MASKED = 0.8;
const RANDOM = 0.1;

/** A sentence that does not fit is cut only where it would otherwise leave more than this share of the block empty. */
const MAX_EMPTY = 0.2;

/** The ids of a tokenizer made by `writeTokenizer`, or of any RoBERTa. */
export async function mlmVocabulary(tokenizer: TextTokenizer): Promise<MlmVocabulary> {
  const [bos, eos] = (await tokenizer.encode('')).ids;
  const { padId: pad, maskId: mask } = tokenizer;
  if (bos === undefined || eos === undefined || pad === undefined || mask === undefined) {
    throw new Error('masked language modelling needs a tokenizer with <s>, </s>, <pad> and <mask>');
  }
  return { size: tokenizer.vocabSize, bos, eos, pad, mask, special: tokenizer.specialIds };
}

/**
 * Packs documents, in order, into blocks of at most `maxLength` tokens: `<s>`, whole sentences, `</s>`, with a `</s>`
 * between documents (RoBERTa's FULL-SENTENCES). Documents of different sources never share a block.
 */
export async function packBlocks(
  documents: Iterable<CorpusDocument>,
  tokenizer: TextTokenizer,
  maxLength: number,
): Promise<Block[]> {
  const { bos, eos } = await mlmVocabulary(tokenizer);
  const blocks: Block[] = [];
  const room = maxLength - 1;
  let source = '';
  let ids: number[] = [bos];
  const flush = (): void => {
    if (ids.at(-1) === eos) ids.pop();
    if (ids.length > 1) blocks.push({ source, ids: Int32Array.from([...ids, eos]) });
    ids = [bos];
  };
  for (const document of documents) {
    if (document.source !== source) flush();
    source = document.source;
    for (const sentence of sentences(document.text)) {
      let tokens = (await tokenizer.encode(sentence, undefined, { addSpecial: false })).ids;
      while (ids.length + tokens.length > room) {
        const empty = room - ids.length;
        if (empty > MAX_EMPTY * maxLength) {
          ids.push(...tokens.slice(0, empty));
          tokens = tokens.slice(empty);
        }
        flush();
      }
      ids.push(...tokens);
    }
    if (ids.length > 1 && ids.length < room) ids.push(eos);
  }
  flush();
  return blocks;
}

/** Lists every block as often as an epoch is to visit its source. @param repeats 1 for sources it does not name */
export function repeatBlocks(blocks: readonly Block[], repeats: ReadonlyMap<string, number>): Block[] {
  return blocks.flatMap((block) => Array<Block>(repeats.get(block.source) ?? 1).fill(block));
}

/** Splits after closing punctuation where a space and an upper-case letter, digit or opening mark follow. */
export function sentences(text: string): string[] {
  return text.split(/(?<=[.?!]["')\]]*) (?=["'([]?[\p{Lu}\p{N}])/u);
}

/** Batches of masked blocks for any step; every epoch visits each block once, in an order of its own. */
export class MlmBatches {
  readonly #blocks: readonly Block[];
  readonly #options: MlmOptions;
  readonly #replacements: Int32Array;
  #order: { readonly epoch: number; readonly indices: Int32Array } | undefined;

  /** @param blocks at least one; a block listed twice is seen twice an epoch */
  constructor(blocks: readonly Block[], options: MlmOptions) {
    if (blocks.length === 0) throw new Error('no blocks to draw batches from');
    if (blocks.some((block) => block.ids.length > options.maxLength)) throw new Error('a block is over maxLength');
    this.#blocks = blocks;
    this.#options = options;
    const { size, special } = options.vocabulary;
    this.#replacements = Int32Array.from({ length: size }, (_, id) => id).filter((id) => !special.has(id));
  }

  /** Predictions a batch has room for: P. */
  get capacity(): number {
    const { batchSize, maxLength, probability } = this.#options;
    return batchSize * predictions(maxLength, probability);
  }

  /** Steps in which every block is seen once, rounded up. */
  get stepsPerEpoch(): number {
    return Math.ceil(this.#blocks.length / this.#options.batchSize);
  }

  /** The batch of a step, counted from 0. Random access: no earlier batch need be drawn. */
  at(step: number): MlmBatch {
    const { batchSize, maxLength, vocabulary, seed } = this.#options;
    const size = batchSize * maxLength;
    const inputIds = new Int32Array(size).fill(vocabulary.pad);
    const attentionMask = new Int32Array(size);
    const positions = new Int32Array(this.capacity).fill(-1);
    const labels = new Int32Array(this.capacity).fill(-100);
    let count = 0;
    for (let row = 0; row < batchSize; row++) {
      const { ids } = this.#block(step * batchSize + row);
      const start = row * maxLength;
      inputIds.set(ids, start);
      attentionMask.fill(1, start, start + ids.length);
      const random = hostRandom(seed, STREAM.mask, step, row);
      for (const position of this.#choose(ids, random)) {
        positions[count] = start + position;
        labels[count++] = ids[position]!;
        inputIds[start + position] = this.#corrupt(ids[position]!, random);
      }
    }
    return { inputIds, attentionMask, positions, labels, count };
  }

  /** Block at a position of the endless sequence of shuffled epochs. */
  #block(position: number): Block {
    const epoch = Math.floor(position / this.#blocks.length);
    if (this.#order?.epoch !== epoch) {
      const indices = Int32Array.from(this.#blocks, (_, i) => i);
      this.#order = { epoch, indices: hostRandom(this.#options.seed, STREAM.blockOrder, epoch).shuffle(indices) };
    }
    return this.#blocks[this.#order.indices[position % this.#blocks.length]!] as Block;
  }

  /** Positions to predict, ascending: an exact share of the block's text tokens, at least one. */
  #choose(ids: Int32Array, random: HostRandom): Int32Array {
    const { probability, vocabulary } = this.#options;
    const text = Int32Array.from(ids, (_, i) => i).filter((i) => !vocabulary.special.has(ids[i]!));
    return random.shuffle(text).slice(0, predictions(text.length, probability)).sort();
  }

  #corrupt(id: number, random: HostRandom): number {
    const draw = random.uniform();
    if (draw < MASKED) return this.#options.vocabulary.mask;
    if (draw >= MASKED + RANDOM) return id;
    return this.#replacements[random.below(this.#replacements.length)]!;
  }
}

function predictions(tokens: number, probability: number): number {
  return tokens === 0 ? 0 : Math.max(1, Math.round(tokens * probability));
}
