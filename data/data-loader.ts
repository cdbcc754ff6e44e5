/**
 * Room: data. Batches of encoded examples: order, grouping by length, padding. A batch depends only on the examples, the
 * options and its place (epoch, index), so that a resumed run reads the same batches. Pure; touches nothing.
 */
import { IGNORE_INDEX, NO_VALUE, sequencesOf, SPAN_FACTS, type EncodedExample } from './encoded-example.ts';
import { longestOfEach, mostChoices, type Examples } from './example-store.ts';
import { hostRandom, STREAM } from '../engine/random.ts';

/**
 * `file`: as given, the same in every epoch. `shuffle`: a new permutation each epoch. `bucket`: shuffled, but with examples
 * of like length together, which saves padding: which mega-batch an example is in is drawn anew each epoch, as is the order of all
 * batches; within a mega-batch the lengths decide who shares a batch. `length`: from short to long, for evaluation.
 */
export type Order = 'file' | 'shuffle' | 'bucket' | 'length';

/** How examples become batches. Lengths are in tokens. */
export interface BatchOptions {
  /** Examples, which are as many rows unless they have several choices. */
  readonly batchSize: number;
  readonly order: Order;
  /** Used by `shuffle` and `bucket`. */
  readonly seed: number;
  /**
   * Of `bucket`: batches whose examples are drawn together and then sorted by length; 32 unless given. Where it is given, the batch of the
   * epoch's longest example comes first, as in transformers' `group_by_length`: it needs most memory.
   */
  readonly megaBatchMult?: number | undefined;
  /** Token id of padding. */
  readonly padId: number;
  /** Rows are padded to the batch's longest example, rounded up to a multiple of this … */
  readonly multipleOf?: number;
  /** … but to no more than this, which no example may exceed. */
  readonly maxLength: number;
  /** Pads every batch to `maxLength`: one shape for the whole run. */
  readonly fixedLength?: boolean;
}

/**
 * Padded examples. B = batch rows, S = seq. An example is one row, or a row for each of its choices; where examples differ in their number,
 * each has as many as the one with most, the rest filling. B is the same for every batch, so that programs differ by S alone. The rows from
 * `count` on, in an epoch's last batch, are filling: padding that nothing
 * attends to, without a label, so that they count nowhere.
 */
export interface Batch {
  readonly batch: number;
  readonly seq: number;
  /** Rows that are of examples. */
  readonly count: number;
  /** Positions of the batch's examples among those given; there are `count` rows for them. */
  readonly indices: Int32Array;
  /** [B, S] */
  readonly inputIds: Int32Array;
  /** [B, S], 1 for tokens and 0 for padding. */
  readonly attentionMask: Int32Array;
  /** [B, S] */
  readonly tokenTypeIds: Int32Array;
  /** [B, S], of packed rows: the example of each token, counted in its row from 1, and 0 for padding. */
  readonly segmentIds?: Int32Array | undefined;
  /**
   * As the objective wants them: [B] class indices or −100; with choices [2·examples], the right ones and then how many there are; for
   * language models [B, S], the id of the token after each …
   */
  readonly labels: Int32Array | Float32Array;
}

/** Sequences are padded to a multiple of this, unless said otherwise. */
export const MULTIPLE = 8;

/** Batches of a mega-batch, which `bucket` sorts by length: enough to save padding, few enough to keep epochs different. */
const MEGA_BATCH_MULT = 32;

/** Batches of examples by epoch and index: the same for the same examples and options, in any order they are asked for. */
export class DataLoader {
  readonly #examples: Examples;
  /** Tokens of each example. */
  readonly #lengths: Int32Array;
  /** Rows of each example. */
  readonly #choices: number;
  readonly #options: BatchOptions;
  #epoch: { readonly number: number; readonly batches: readonly Int32Array[] } | undefined;

  /** @param examples at least one, none longer than `maxLength` */
  constructor(examples: Examples, options: BatchOptions) {
    this.#examples = examples;
    this.#lengths = longestOfEach(examples);
    this.#choices = mostChoices(examples);
    this.#options = options;
    const longest = this.#longestOf(this.#lengths.keys());
    if (longest === 0) throw new Error('no examples to make batches of');
    if (longest > options.maxLength) throw new Error(`an example of ${longest} tokens is over maxLength`);
  }

  /** Number of batches in an epoch, the last of which may be ragged. */
  get perEpoch(): number {
    return Math.ceil(this.#examples.length / this.#options.batchSize);
  }

  /** The batch at a place; random access. */
  at(epoch: number, index: number): Batch {
    const order = this.#options.order === 'shuffle' || this.#options.order === 'bucket' ? epoch : 0;
    if (this.#epoch?.number !== order) this.#epoch = { number: order, batches: this.#plan(order) };
    const indices = this.#epoch.batches[index];
    if (!indices) throw new RangeError(`batch ${index} of ${this.perEpoch}`);
    return this.#assemble(indices);
  }

  /** The batches of one epoch, from `start` on. */
  *epoch(epoch: number, start = 0): Generator<Batch, void, undefined> {
    for (let index = start; index < this.perEpoch; index++) yield this.at(epoch, index);
  }

  /** Example indices of each batch of an epoch. */
  #plan(epoch: number): Int32Array[] {
    const { order, seed, batchSize, megaBatchMult = MEGA_BATCH_MULT } = this.#options;
    const indices = Int32Array.from(this.#lengths.keys());
    if (order === 'file') return chunks(indices, batchSize);
    if (order === 'length') return chunks(this.#byLength(indices), batchSize);
    const random = hostRandom(seed, STREAM.shuffle, epoch);
    random.shuffle(indices);
    if (order === 'shuffle') return chunks(indices, batchSize);
    const longestFirst = this.#options.megaBatchMult !== undefined;
    if (longestFirst) this.#bringLongestForward(indices);
    const megaBatches = chunks(indices, megaBatchMult * batchSize).map((indices) => this.#byLength(indices));
    if (longestFirst) megaBatches.forEach((indices) => indices.reverse());
    const batches = megaBatches.flatMap((indices) => chunks(indices, batchSize));
    const first = longestFirst ? batches.splice(0, 1) : [];
    const sequence = random.shuffle(Int32Array.from(batches, (_, i) => i));
    const shuffled = [...first, ...Array.from(sequence, (i) => batches[i]!)];
    // The ragged batch, where there is one, stays last.
    return shuffled.sort((a, b) => Number(a.length < batchSize) - Number(b.length < batchSize));
  }

  /** Swaps the longest example with the first. */
  #bringLongestForward(indices: Int32Array): void {
    const longest = indices.reduce(
      (best, i, at) => (this.#lengths[i]! > this.#lengths[indices[best]!]! ? at : best),
      0,
    );
    [indices[0], indices[longest]] = [indices[longest]!, indices[0]!];
  }

  #byLength(indices: Int32Array): Int32Array {
    return indices.slice().sort((a, b) => this.#lengths[a]! - this.#lengths[b]! || a - b);
  }

  #longestOf(indices: Iterable<number>): number {
    let longest = 0;
    for (const i of indices) longest = Math.max(longest, this.#lengths[i]!);
    return longest;
  }

  #assemble(indices: Int32Array): Batch {
    const { batchSize, padId } = this.#options;
    const examples = Array.from(indices, (i) => this.#examples.at(i)!);
    const choices = this.#choices;
    const batch = batchSize * choices;
    const longest = this.#longestOf(indices);
    const seq = this.#seq(longest);
    const inputIds = new Int32Array(batch * seq).fill(padId);
    const attentionMask = new Int32Array(batch * seq);
    const tokenTypeIds = new Int32Array(batch * seq);
    const segmentIds = examples[0]?.segmentIds && new Int32Array(batch * seq);
    for (const [i, example] of examples.entries())
      for (const [choice, row] of sequencesOf(example).entries()) {
        const start = (i * choices + choice) * seq;
        inputIds.set(row.ids, start);
        attentionMask.set(row.mask, start);
        tokenTypeIds.set(row.typeIds, start);
      }
    examples.forEach((example, i) => segmentIds?.set(example.segmentIds!, i * seq));
    const labels = labelsOf(examples, { size: batchSize, choices, seq, longest });
    const count = examples.length * choices;
    const grids = { inputIds, attentionMask, tokenTypeIds, ...(segmentIds && { segmentIds }) };
    return { batch, seq, count, indices, ...grids, labels };
  }

  #seq(longest: number): number {
    const { maxLength, fixedLength = false, multipleOf = MULTIPLE } = this.#options;
    return fixedLength ? maxLength : Math.min(maxLength, Math.ceil(longest / multipleOf) * multipleOf);
  }
}

interface LabelShape {
  /** Places for examples. */
  readonly size: number;
  readonly choices: number;
  readonly seq: number;
  readonly longest: number;
}

/**
 * Of choices [2·size]: the right ones, and how many there are. Of tokens [size, S]: for each the label of the one after it. Of values
 * [size, width]. Of spans [2·size + 3]: all starts, all ends, how many places of a row are in the running, those of the longest, and how many
 * starts and ends are known. Else [size].
 */
function labelsOf(examples: readonly EncodedExample[], { size, choices, seq, longest }: LabelShape): Batch['labels'] {
  const [first] = examples;
  if (choices > 1) {
    const labels = new Int32Array(2 * size).fill(IGNORE_INDEX);
    for (const [i, example] of examples.entries()) {
      labels[i] = example.label;
      labels[size + i] = sequencesOf(example).length;
    }
    return labels;
  }
  if (first?.values) {
    const width = first.values.length;
    const labels = new Float32Array(size * width).fill(NO_VALUE);
    examples.forEach(({ values }, i) => values && labels.set(values, i * width));
    return labels;
  }
  const labels = new Int32Array(first?.tokenLabels ? size * seq : first?.span ? 2 * size + SPAN_FACTS : size).fill(
    IGNORE_INDEX,
  );
  examples.forEach(({ label, span, tokenLabels }, i) => {
    if (tokenLabels) labels.set(tokenLabels.subarray(1), i * seq);
    else labels[i] = span ? span[0] : label;
    if (span) labels[size + i] = span[1];
  });
  if (first?.span) {
    const known = (from: number): number => labels.subarray(from, from + size).filter((label) => label >= 0).length;
    labels.set([longest, known(0), known(size)], 2 * size);
  }
  return labels;
}

function chunks(items: Int32Array, size: number): Int32Array[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}
