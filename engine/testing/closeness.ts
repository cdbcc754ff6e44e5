/** Room: engine/testing. Whether a kernel's output agrees with a reference, and inputs to try it on. Bound to no test runner. */

/** Where two arrays differ most. */
export interface LargestError {
  /** |got − expected| over the larger of 1 and the largest magnitude expected; NaN where one of the two is NaN. */
  readonly error: number;
  /** The element where it is found. */
  readonly index: number;
}

/**
 * The largest difference of two arrays, relative to the scale of what is expected.
 * @throws Error where the lengths differ or there is nothing to compare
 */
export function largestError(got: ArrayLike<number>, expected: ArrayLike<number>): LargestError {
  if (got.length !== expected.length || got.length === 0)
    throw new Error(`got ${got.length} elements, expected ${expected.length || 'some'}`);
  let scale = 1;
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]!));
  let [worst, index] = [0, 0];
  for (let i = 0; i < got.length; i++) {
    const error = Math.abs(got[i]! - expected[i]!);
    if (!(error <= worst)) [worst, index] = [error, i];
    if (Number.isNaN(error)) break;
  }
  return { error: worst / scale, index };
}

/**
 * Asserts that `largestError` of two arrays is at most `tolerance`.
 * @throws Error that names the element where they differ most; also for NaN, lengths that differ and empty arrays
 */
export function assertClose(got: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  const { error, index } = largestError(got, expected);
  if (error <= tolerance) return;
  const values = `element ${index}: got ${got[index]}, expected ${expected[index]}`;
  throw new Error(`${values}; off by ${error.toExponential(2)} relative to the scale, allowed are ${tolerance}`);
}

/**
 * The same values every time for a seed, roughly normal with mean 0 and standard deviation `scale` (a sum of four uniforms).
 */
export function randomValues(length: number, seed = 1, scale = 1): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  const uniform = () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) >>> 0;
    return state / 2 ** 32;
  };
  return Float32Array.from({ length }, () => (uniform() + uniform() + uniform() + uniform() - 2) * 1.7320508 * scale);
}
