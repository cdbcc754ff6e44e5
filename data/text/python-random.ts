/**
 * Room: data/text. Python's `random.Random`, so that the same examples are drawn: MT19937 (Matsumoto and Nishimura 1998) and
 * `Random.sample`. Touches nothing.
 */

const SIZE = 624;
const SHIFT = 397;

/** `random.Random(seed)`. */
export class PythonRandom {
  readonly #state = new Uint32Array(SIZE);
  #next = SIZE;

  /** @param seed integer in [0, 2³²) */
  constructor(seed: number) {
    this.#seed(19650218);
    this.#mix(seed);
  }

  /** `random.sample(items, count)`. @throws RangeError where there are fewer items */
  sample<T>(items: readonly T[], count: number): T[] {
    const size = items.length;
    if (count > size) throw new RangeError(`sample: ${count} of ${size} items`);
    // Python keeps a set of what was drawn where a copy of all items would be larger.
    const asSet = 21 + (count > 5 ? 4 ** Math.ceil(Math.log(count * 3) / Math.log(4)) : 0);
    return size <= asSet ? this.#fromPool([...items], count) : this.#fromSet(items, count);
  }

  #fromPool<T>(pool: T[], count: number): T[] {
    return Array.from({ length: count }, (_, i) => {
      const at = this.#below(pool.length - i);
      const drawn = pool[at]!;
      pool[at] = pool[pool.length - i - 1]!;
      return drawn;
    });
  }

  #fromSet<T>(items: readonly T[], count: number): T[] {
    const drawn = new Set<number>();
    return Array.from({ length: count }, () => {
      let at = this.#below(items.length);
      while (drawn.has(at)) at = this.#below(items.length);
      drawn.add(at);
      return items[at]!;
    });
  }

  /** Uniform integer in [0, n), n below 2³². */
  #below(n: number): number {
    const bits = 32 - Math.clz32(n);
    let drawn = n;
    while (drawn >= n) drawn = this.#uint32() >>> (32 - bits);
    return drawn;
  }

  #uint32(): number {
    if (this.#next === SIZE) this.#twist();
    let y = this.#state[this.#next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < SIZE; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % SIZE]! & 0x7fffffff);
      state[i] = state[(i + SHIFT) % SIZE]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }

  #seed(seed: number): void {
    const state = this.#state;
    state[0] = seed;
    for (let i = 1; i < SIZE; i++) state[i] = Math.imul(1812433253, state[i - 1]! ^ (state[i - 1]! >>> 30)) + i;
  }

  /** `init_by_array` with one key. */
  #mix(key: number): void {
    const state = this.#state;
    let i = 1;
    const step = (factor: number, more: (i: number) => number): void => {
      const before = state[i - 1]!;
      state[i] = (state[i]! ^ Math.imul(before ^ (before >>> 30), factor)) + more(i);
      if (++i < SIZE) return;
      state[0] = state[SIZE - 1]!;
      i = 1;
    };
    for (let k = 0; k < SIZE; k++) step(1664525, () => key);
    for (let k = 1; k < SIZE; k++) step(1566083941, (at) => -at);
    state[0] = 0x80000000;
  }
}
