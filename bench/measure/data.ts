/** Room: bench/measure. Numbers to compute with. */

/** Repeatable numbers in [−1, 1). */
export function randomData(length: number, seed: number): Float32Array {
  let state = (seed * 0x9e3779b9) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
