/**
 * Room: engine. Random numbers for host-side work (shuffling, masking): Philox 4x32-10 (Salmon et al., "Parallel Random
 * Numbers: As Easy as 1, 2, 3", SC 2011). Counter-based, so that any epoch, step or row has its own stream that can be
 * entered without drawing what came before: what makes resumed runs the same runs. Touches nothing.
 */

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/** High 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function mulHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  return (aHigh * bHigh + Math.floor(middle / 65536) + ((middle & 0xffff) + aLow * bHigh) / 65536) >>> 0;
}

/** Four 32-bit outputs of Philox 4x32-10 for a 128-bit counter and a 64-bit key. */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): Uint32Array {
  let [x0, x1, x2, x3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = mulHigh(MULTIPLIER_0, x0);
    const high1 = mulHigh(MULTIPLIER_1, x2);
    const low0 = Math.imul(MULTIPLIER_0, x0);
    const low1 = Math.imul(MULTIPLIER_1, x2);
    x0 = (high1 ^ x1 ^ k0) >>> 0;
    x2 = (high0 ^ x3 ^ k1) >>> 0;
    x1 = low1 >>> 0;
    x3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return Uint32Array.of(x0, x1, x2, x3);
}

/** What a stream is drawn for: the first number of its name, so that no two uses share numbers. */
export const STREAM = {
  shuffle: 1,
  mask: 2,
  blockOrder: 3,
  weights: 4,
  pruning: 5,
  wordVectors: 6,
  sampling: 7,
  subset: 8,
  packing: 9,
  projection: 10,
  planting: 11,
  sweep: 12,
  bootstrap: 13,
} as const;

/** A sequence of random numbers that depends only on its seed and name. */
export interface HostRandom {
  /** Uniform in [0, 2³²). */
  uint32(): number;
  /** Uniform in [0, 1), multiples of 2⁻³². */
  uniform(): number;
  /** Uniform integer in [0, n), 1 ≤ n ≤ 2³²; unbiased. */
  below(n: number): number;
  /** Standard normal, by the Box–Muller transform. */
  normal(): number;
  /** Permutes `items` in place (Fisher–Yates) and returns them. */
  shuffle<T extends { [index: number]: number; length: number }>(items: T): T;
}

/**
 * The stream named by up to three unsigned 32-bit numbers.
 * @param seed integer in [0, 2⁵³)
 * @param purpose what it is drawn for, one of `STREAM`
 * @param a for example the epoch, or the step
 * @param b for example the row
 */
export function hostRandom(seed: number, purpose: number, a = 0, b = 0): HostRandom {
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0] as const;
  let block = 0;
  let used = 4;
  let values: Uint32Array = new Uint32Array(4);
  const uint32 = (): number => {
    if (used === 4) {
      values = philox([block++, purpose >>> 0, a >>> 0, b >>> 0], key);
      used = 0;
    }
    return values[used++]!;
  };
  const below = (n: number): number => {
    const limit = 2 ** 32 - (2 ** 32 % n);
    let value = uint32();
    while (value >= limit) value = uint32();
    return value % n;
  };
  const uniform = (): number => uint32() / 2 ** 32;
  return {
    uint32,
    uniform,
    below,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    shuffle(items) {
      for (let i = items.length - 1; i > 0; i--) {
        const j = below(i + 1);
        [items[i], items[j]] = [items[j]!, items[i]!];
      }
      return items;
    },
  };
}
