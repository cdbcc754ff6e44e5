/** Protects: tokens in like company get like vectors, tokens that stand for no text get none, and a seed gives the same start. */
import { expect, it } from 'vitest';
import { hostRandom } from '../../engine/random.ts';
import type { Block } from '../../pretrain/mlm.ts';
import { tokenLogits, wordVectors } from '../../pretrain/word-vectors.ts';

const SPECIAL = 0;
const GROUP = 6;
const VOCABULARY = 1 + 2 * GROUP + 1;
const OPTIONS = { vocabSize: VOCABULARY, dimensions: 4, ignored: new Set([SPECIAL]) };

/** Blocks whose words are all of one group: 1 … 6 or 7 … 12; token 13 never occurs. */
function companies(): Block[] {
  const random = hostRandom(5, 1);
  return Array.from({ length: 60 }, (_, n) => {
    const first = 1 + (n % 2) * GROUP;
    const words = Array.from({ length: 12 }, () => first + random.below(GROUP));
    return { source: 'a', ids: Int32Array.from([SPECIAL, ...words, SPECIAL]) };
  });
}

function cosine(vectors: Float32Array, a: number, b: number): number {
  const row = (i: number): Float32Array => vectors.subarray(i * OPTIONS.dimensions, (i + 1) * OPTIONS.dimensions);
  const dot = (x: Float32Array, y: Float32Array): number => x.reduce((sum, v, i) => sum + v * y[i]!, 0);
  return dot(row(a), row(b)) / Math.sqrt(dot(row(a), row(a)) * dot(row(b), row(b)));
}

it('puts tokens of one company closer to each other than to any other', () => {
  const vectors = wordVectors(companies(), OPTIONS, hostRandom(1, 2));
  for (let a = 1; a <= GROUP; a++) {
    for (let b = a + 1; b <= GROUP; b++) {
      expect(cosine(vectors, a, b)).toBeGreaterThan(cosine(vectors, a, b + GROUP));
      expect(cosine(vectors, a + GROUP, b + GROUP)).toBeGreaterThan(cosine(vectors, a + GROUP, b));
    }
  }
});

it('gives nothing to special and unseen tokens, and a mean square of 1 to the whole', () => {
  const vectors = wordVectors(companies(), OPTIONS, hostRandom(1, 2));
  for (const token of [SPECIAL, VOCABULARY - 1]) {
    for (let d = 0; d < OPTIONS.dimensions; d++)
      expect(Math.abs(vectors[token * OPTIONS.dimensions + d]!)).toBeLessThan(1e-6);
  }
  expect(vectors.reduce((sum, x) => sum + x * x, 0) / vectors.length).toBeCloseTo(1, 5);
});

it('is the same for the same seed', () => {
  const twice = [1, 2].map(() => wordVectors(companies(), OPTIONS, hostRandom(1, 2)));
  expect(twice[0]).toEqual(twice[1]);
});

it('gives log probabilities, never minus infinity', () => {
  const logits = tokenLogits([{ source: 'a', ids: Int32Array.of(1, 1, 2) }], 4);
  const expected = [1, 3, 2, 1].map((n) => Math.log(n / 7));
  logits.forEach((x, i) => expect(x).toBeCloseTo(expected[i]!, 6));
});
