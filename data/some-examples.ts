/** Room: data. Some examples of others, by their places; holds none of them. Pure. */
import type { EncodedExample } from './encoded-example.ts';
import type { Examples } from './example-store.ts';

export class SomeExamples implements Examples {
  readonly #examples: Examples;
  readonly #places: Int32Array;

  /** @param places among `examples`, each of which is there */
  constructor(examples: Examples, places: Int32Array) {
    this.#examples = examples;
    this.#places = places;
  }

  get length(): number {
    return this.#places.length;
  }

  at(index: number): EncodedExample | undefined {
    const place = this.#places[index];
    return place === undefined ? undefined : this.#examples.at(place);
  }

  *[Symbol.iterator](): Generator<EncodedExample, void, undefined> {
    for (let i = 0; i < this.length; i++) yield this.at(i)!;
  }
}
