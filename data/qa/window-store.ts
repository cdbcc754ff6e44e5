/** Room: data/qa. Many windows of questions in little memory: their tokens and places in a few long arrays, their contexts once. */
import type { EncodedExample, Passage } from '../encoded-example.ts';
import { IGNORE_INDEX } from '../encoded-example.ts';
import { ExampleStore, type Examples } from '../example-store.ts';
import { Integers } from '../integers.ts';

/** Stands for a place that there is none of; `IGNORE_INDEX` is another. */
const NONE = -1;

/** Place among the windows of its question, first and last token of the answer, and of the passage: numbers of a window. */
const PLACES = 5;

type Source = Omit<NonNullable<Passage['source']>, 'offsets'>;

/** Windows in order: what `encodeQuestions` makes, by place. */
export class WindowStore implements Examples {
  readonly #sequences = new ExampleStore();
  /** [windows, PLACES] */
  readonly #places = new Integers();
  readonly #offsets = new Integers();
  readonly #offsetEnds = new Integers();
  /** Of each question. */
  readonly #sources: (Source | undefined)[] = [];
  readonly #questions = new Integers();
  /** Place of the first window of each question. */
  readonly firsts: number[] = [];

  get length(): number {
    return this.#sequences.length;
  }

  /** Adds the windows of a question. */
  push(windows: readonly EncodedExample[]): void {
    this.firsts.push(this.length);
    this.#sources.push(this.#sourceOf(windows[0]!));
    for (const window of windows) this.#add(window);
  }

  /** The window at a place, counted from 0. Its arrays are views, not to be written. */
  at(index: number): EncodedExample | undefined {
    const sequence = this.#sequences.at(index);
    if (!sequence) return undefined;
    const [window, start, end, from, to] = this.#places.view(index * PLACES, (index + 1) * PLACES) as unknown as [
      number,
      number,
      number,
      number,
      number,
    ];
    const source = this.#sources[this.#questions.get(index)];
    const offsets = this.#offsets.view(...this.#offsetEnds.range(index));
    return {
      ...sequence,
      label: IGNORE_INDEX,
      ...(start !== NONE && { span: [start, end] as const }),
      ...(from !== NONE && { passage: { from, to, ...(source && { source: { ...source, offsets } }) } }),
      ...(window > 0 && { window }),
    };
  }

  /** All windows in order. */
  *[Symbol.iterator](): Generator<EncodedExample, void, undefined> {
    for (let i = 0; i < this.length; i++) yield this.at(i)!;
  }

  #add(example: EncodedExample): void {
    const { span = [NONE, NONE], passage, window = 0 } = example;
    this.#sequences.push(example);
    this.#places.push([window, ...span, passage?.from ?? NONE, passage?.to ?? NONE]);
    this.#questions.push([this.#sources.length - 1]);
    this.#offsets.push(passage?.source?.offsets ?? []);
    this.#offsetEnds.push([this.#offsets.length]);
  }

  /** Questions on one context follow each other: they share it, also where the file has it once for each. */
  #sourceOf({ passage }: EncodedExample): Source | undefined {
    if (!passage?.source) return undefined;
    const { text, answers } = passage.source;
    const before = this.#sources.at(-1)?.text;
    return { text: before === text ? before : text, answers };
  }
}
