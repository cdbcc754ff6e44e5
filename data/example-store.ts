/**
 * Room: data. Many examples in little memory: the tokens of all in a few long arrays. What most examples have alike, a mask of ones and the
 * first segment, takes none.
 */
import {
  IGNORE_INDEX,
  NO_VALUE,
  sequencesOf,
  type EncodedExample,
  type Sequence,
  type Target,
} from './encoded-example.ts';
import { Integers } from './integers.ts';

/** Encoded examples in order: an array of them, or an `ExampleStore`. */
export interface Examples extends Iterable<EncodedExample> {
  readonly length: number;
  /** The example at a place, counted from 0. */
  at(index: number): EncodedExample | undefined;
}

/** What an example is, but for its label. */
export type Tokens = Sequence & Pick<EncodedExample, 'tokenLabels' | 'otherChoices'>;

export class ExampleStore implements Examples {
  /** The sequence after the last of each example: more than one apart where examples have choices. */
  readonly #exampleEnds = new Integers();
  /** Sequences of the example that has most. */
  #most = 1;
  readonly #ids = new Integers();
  /** Where each sequence ends. */
  readonly #ends = new Integers();
  /** As long as `ids` from the first entry on that is not what most are. */
  #mask: Integers | undefined;
  #typeIds: Integers | undefined;
  #tokenLabels: Integers | undefined;
  #labels: Int32Array | undefined;
  /** [examples, width] */
  #values: Float32Array | undefined;
  /** Shared by all examples. */
  #ones = new Int32Array();
  #zeros = new Int32Array();

  get length(): number {
    return this.#exampleEnds.length;
  }

  /** Sequences of the example that has most. */
  get mostChoices(): number {
    return this.#most;
  }

  /** Appends an example, with all its choices. */
  push(tokens: Tokens): void {
    const { otherChoices = [] } = tokens;
    for (const sequence of [tokens, ...otherChoices]) this.#add(sequence, tokens.tokenLabels);
    this.#exampleEnds.push([this.#ends.length]);
    this.#most = Math.max(this.#most, 1 + otherChoices.length);
  }

  /** Gives every example its class. @param labels [examples], class indices or −100 */
  setLabels(labels: Int32Array): void {
    this.#labels = labels;
  }

  /** Gives every example its numbers. @param values of each example equally many, or undefined where they are not known */
  setValues(values: readonly (readonly number[] | undefined)[]): void {
    const width = values.find((row) => row !== undefined)?.length ?? 0;
    this.#values = new Float32Array(values.length * width).fill(NO_VALUE);
    values.forEach((row, i) => row && this.#values!.set(row, i * width));
  }

  /** The example at a place, counted from 0. Its arrays are views, not to be written. */
  at(index: number): EncodedExample | undefined {
    if (index < 0 || index >= this.length) return undefined;
    const [first, last] = this.#exampleEnds.range(index);
    const [sequence, ...others] = Array.from({ length: last - first }, (_, i) => this.#sequence(first + i)) as [
      Sequence,
      ...Sequence[],
    ];
    const [start, end] = this.#ends.range(first);
    return {
      ...sequence,
      ...this.#target(index),
      ...(others.length > 0 && { otherChoices: others }),
      ...(this.#tokenLabels && { tokenLabels: this.#tokenLabels.view(start, end) }),
    };
  }

  /** All examples in order. */
  *[Symbol.iterator](): Generator<EncodedExample, void, undefined> {
    for (let i = 0; i < this.length; i++) yield this.at(i)!;
  }

  /** Tokens of an example's longest sequence. */
  longestOf(index: number): number {
    let longest = 0;
    const [first, last] = this.#exampleEnds.range(index);
    for (let i = first; i < last; i++) {
      const [start, end] = this.#ends.range(i);
      longest = Math.max(longest, end - start);
    }
    return longest;
  }

  #target(index: number): Target {
    const width = (this.#values?.length ?? 0) / this.length;
    if (width === 0) return { label: this.#labels?.[index] ?? IGNORE_INDEX };
    const values = this.#values!.subarray(index * width, (index + 1) * width);
    return { label: IGNORE_INDEX, ...(values[0] !== Math.fround(NO_VALUE) && { values }) };
  }

  #add({ ids, mask, typeIds }: Sequence, tokenLabels: Int32Array | undefined): void {
    const before = this.#ids.length;
    const plane = (values: Int32Array, usual: number, old: Integers | undefined): Integers | undefined => {
      if (!old && values.every((value) => value === usual)) return undefined;
      const integers = old ?? new Integers();
      integers.fillUp(before, usual);
      integers.push(values);
      return integers;
    };
    this.#mask = plane(mask, 1, this.#mask);
    this.#typeIds = plane(typeIds, 0, this.#typeIds);
    if (tokenLabels) (this.#tokenLabels ??= new Integers()).push(tokenLabels);
    this.#ids.push(ids);
    this.#ends.push([this.#ids.length]);
    if (ids.length <= this.#ones.length) return;
    this.#ones = new Int32Array(2 * ids.length).fill(1);
    this.#zeros = new Int32Array(2 * ids.length);
  }

  #sequence(index: number): Sequence {
    const [start, end] = this.#ends.range(index);
    return {
      ids: this.#ids.view(start, end),
      mask: this.#mask?.view(start, end) ?? this.#ones.subarray(0, end - start),
      typeIds: this.#typeIds?.view(start, end) ?? this.#zeros.subarray(0, end - start),
    };
  }
}

/** Sequences of the example that has most: 1 where they have no choices. */
export function mostChoices(examples: Examples): number {
  if (examples instanceof ExampleStore) return examples.mostChoices;
  let most = 1;
  for (const example of examples) most = Math.max(most, sequencesOf(example).length);
  return most;
}

/** Tokens of the longest sequence of each example. */
export function longestOfEach(examples: Examples): Int32Array {
  const lengths = new Int32Array(examples.length);
  for (let i = 0; i < lengths.length; i++) {
    lengths[i] =
      examples instanceof ExampleStore
        ? examples.longestOf(i)
        : sequencesOf(examples.at(i)!).reduce((most, { ids }) => Math.max(most, ids.length), 0);
  }
  return lengths;
}
