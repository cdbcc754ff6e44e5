/** Tests only: float64 references shared by the kernel tests, written independently of the WGSL. */

/** erf by its Taylor series below 3 and its continued fraction above; accurate to about 1e-15. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 3) {
    let term = a;
    let sum = a;
    for (let n = 1; n < 200; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * sum * 2) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let k = 120; k > 0; k--) fraction = k / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
}

/** Philox 4x32-10 with 64-bit integer products. */
export function philox(counter: readonly number[], key: readonly number[]): number[] {
  const word = (n: number) => BigInt(n >>> 0);
  let [c0, c1, c2, c3] = [word(counter[0]!), word(counter[1]!), word(counter[2]!), word(counter[3]!)];
  let [k0, k1] = [word(key[0]!), word(key[1]!)];
  const low = 0xffffffffn;
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2511f53n * c0;
    const p1 = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & low, (p0 >> 32n) ^ c3 ^ k1, p0 & low];
    k0 = (k0 + 0x9e3779b9n) & low;
    k1 = (k1 + 0xbb67ae85n) & low;
  }
  return [c0, c1, c2, c3].map(Number);
}

/** The dropout factor of element `index`: 0, or 1/(1−rate) where its 24-bit uniform is at least the rate. */
export function dropoutScale(index: number, seed: number, step: number, stream: number, rate: number): number {
  const words = philox([Math.floor(index / 4), step, stream, 0], [seed, 0xd0d0]);
  return (words[index % 4]! >>> 8) / 2 ** 24 >= Math.fround(rate) ? 1 / (1 - rate) : 0;
}
