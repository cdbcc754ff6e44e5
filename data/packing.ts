/**
 * Room: data. Sequence packing: several examples of a language model in one row, each a segment of its own that sees itself alone.
 * Which examples share a row depends on their lengths and a seed alone. Pure.
 */
import { option, UserError } from '../engine/errors.ts';
import { hostRandom, STREAM } from '../engine/random.ts';
import type { HeadKind } from '../models/architecture.ts';
import { IGNORE_INDEX, type EncodedExample } from './encoded-example.ts';
import type { Examples } from './example-store.ts';
import type { DataOptions } from './options.ts';

/**
 * Examples in rows of at most `maxLength` tokens, by best-fit decreasing, as TRL's `packing_strategy="bfd"`: from the longest on, each goes
 * to the row that it leaves least room in. The seed decides between examples of like length.
 * @param examples for a causal language model, none longer than `maxLength`, without padding but at their ends, which is left out
 * @returns a row as an example, with `segmentIds`
 * @throws UserError for an example that is too long, has padding elsewhere or no `tokenLabels`
 */
export function packExamples(
  examples: Examples,
  { maxLength, seed = 0 }: { readonly maxLength: number; readonly seed?: number },
): Examples {
  const lengths = new Int32Array(examples.length);
  let i = 0;
  for (const example of examples) {
    const length = example.mask.lastIndexOf(1) + 1;
    const problem = problemOf(example, length, maxLength);
    if (problem) throw new UserError(`${option('packing')}: example ${i + 1} ${problem}`);
    lengths[i++] = length;
  }
  return new PackedExamples(examples, bestFitDecreasing(lengths, maxLength, seed));
}

/** @param length without padding at the end */
function problemOf({ mask, tokenLabels }: EncodedExample, length: number, maxLength: number): string | undefined {
  if (!tokenLabels) return 'has no tokens to predict, expected those of a causal language model';
  if (length > maxLength) return `has ${length} tokens, expected at most ${maxLength}`;
  if (mask.subarray(0, length).includes(0)) return 'has padding before or between its tokens, expected it after them';
  const learned = tokenLabels.subarray(length).some((label) => label >= 0);
  return learned ? 'has padding with labels, expected -100 there' : undefined;
}

/**
 * A data set with its training examples packed, where that is asked for.
 * @throws UserError as `packExamples`
 */
export function withPacking<D extends { readonly train: Examples }>(
  data: D,
  { packing = false, dataSeed }: Pick<DataOptions, 'packing' | 'dataSeed'>,
  maxLength: number,
): D {
  return packing ? { ...data, train: packExamples(data.train, { maxLength, seed: dataSeed ?? 0 }) } : data;
}

/** @throws UserError for a head whose examples need rows of their own */
export function assertPackable(head: HeadKind, { packing = false }: Pick<DataOptions, 'packing'>): void {
  if (!packing || head === 'causal-lm') return;
  throw new UserError(
    `${option('packing')}: is for causal language models; an example for a head for ${head} needs a row of its own`,
  );
}

/** Whether examples are rows of `packExamples`. */
export function arePacked(examples: Examples): boolean {
  return examples.at(0)?.segmentIds !== undefined;
}

/** @returns rows of places in `lengths` */
function bestFitDecreasing(lengths: Int32Array, capacity: number, seed: number): number[][] {
  const order = Int32Array.from(lengths.keys());
  hostRandom(seed, STREAM.packing).shuffle(order);
  order.sort((a, b) => lengths[b]! - lengths[a]!);
  const rows: number[][] = [];
  /** Rows by the room left in them. */
  const withRoom = Array.from({ length: capacity + 1 }, (): number[][] => []);
  for (const i of order) {
    const length = lengths[i]!;
    let room = length;
    while (room < capacity && withRoom[room]!.length === 0) room++;
    let row = withRoom[room]!.pop();
    if (!row) rows.push((row = []));
    row.push(i);
    withRoom[room - length]!.push(row);
  }
  return rows;
}

/** Rows put together when they are read. */
class PackedExamples implements Examples {
  readonly #examples: Examples;
  readonly #rows: readonly (readonly number[])[];

  constructor(examples: Examples, rows: readonly (readonly number[])[]) {
    this.#examples = examples;
    this.#rows = rows;
  }

  get length(): number {
    return this.#rows.length;
  }

  at(index: number): EncodedExample | undefined {
    const row = this.#rows[index];
    return row && joined(row.map((i) => withoutPadding(this.#examples.at(i)!)));
  }

  *[Symbol.iterator](): Generator<EncodedExample, void, undefined> {
    for (let i = 0; i < this.length; i++) yield this.at(i)!;
  }
}

function withoutPadding(example: EncodedExample): EncodedExample {
  const length = example.mask.lastIndexOf(1) + 1;
  const part = (values: Int32Array): Int32Array => values.subarray(0, length);
  const { ids, mask, typeIds, tokenLabels } = example;
  return {
    ids: part(ids),
    mask: part(mask),
    typeIds: part(typeIds),
    tokenLabels: part(tokenLabels!),
    label: IGNORE_INDEX,
  };
}

function joined(parts: readonly EncodedExample[]): EncodedExample {
  const length = parts.reduce((sum, { ids }) => sum + ids.length, 0);
  const plane = (valuesOf: (part: EncodedExample, i: number) => Int32Array): Int32Array => {
    const whole = new Int32Array(length);
    let at = 0;
    for (const [i, part] of parts.entries()) {
      whole.set(valuesOf(part, i), at);
      at += part.ids.length;
    }
    return whole;
  };
  return {
    ids: plane(({ ids }) => ids),
    mask: plane(({ mask }) => mask),
    typeIds: plane(({ typeIds }) => typeIds),
    segmentIds: plane(({ ids }, i) => new Int32Array(ids.length).fill(i + 1)),
    tokenLabels: plane(({ tokenLabels }) => withoutFirst(tokenLabels!)),
    label: IGNORE_INDEX,
  };
}

/** Nothing comes before an example's first token to predict it from. */
function withoutFirst(tokenLabels: Int32Array): Int32Array {
  const labels = tokenLabels.slice();
  labels[0] = IGNORE_INDEX;
  return labels;
}
