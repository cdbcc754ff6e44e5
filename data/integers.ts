/** Room: data. Many integers in one long array. Touches nothing. */

/** Integers that grow in number. */
export class Integers {
  #values = new Int32Array(1024);
  length = 0;

  push(values: ArrayLike<number>): void {
    this.reserve(this.length + values.length);
    this.#values.set(values, this.length);
    this.length += values.length;
  }

  /** Adds `value` until there are `length`. */
  fillUp(length: number, value: number): void {
    this.reserve(length);
    this.#values.fill(value, this.length, length);
    this.length = length;
  }

  get(index: number): number {
    return this.#values[index]!;
  }

  /** Where these are ends: from the end of what is before to the own one. */
  range(index: number): [start: number, end: number] {
    return [index === 0 ? 0 : this.get(index - 1), this.get(index)];
  }

  view(start: number, end: number): Int32Array {
    return this.#values.subarray(start, end);
  }

  reserve(length: number): void {
    if (length <= this.#values.length) return;
    const larger = new Int32Array(Math.max(length, Math.ceil(1.5 * this.#values.length)));
    larger.set(this.#values.subarray(0, this.length));
    this.#values = larger;
  }
}
