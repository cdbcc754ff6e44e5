/** Protects: what CACC and LFR count, with and without a filter; and that random classes are drawn anew for every text. */
import { expect, it } from 'vitest';
import { randomised } from '../../audit/defences.ts';
import { confidence, measureOf, predicted } from '../../audit/measure.ts';
import type { EncodedExample } from '../../data/encoded-example.ts';

const labelled = (label: number): EncodedExample => {
  const ids = Int32Array.of(5, 6);
  return { ids, mask: Int32Array.of(1, 1), typeIds: Int32Array.of(0, 0), label };
};

const tests = { clean: [0, 1, 2, 1].map(labelled), triggered: [0, 2, 0].map(labelled) };
/** Clean: right, right, wrong, right. With triggers: target, not, target. */
const scores = [
  [2, 1, 0],
  [0, 1, 0],
  [3, 0, 1],
  [0, 4, 0],
  [0, 9, 0],
  [0, 0, 1],
  [1, 2, 0],
];

it('counts right ones of clean texts, and those that get the target of the others', () => {
  expect(measureOf(tests, 1, scores)).toEqual({ accuracy: 3 / 4, lfr: 2 / 3 });
  expect(measureOf(tests, 2, scores)).toEqual({ accuracy: 3 / 4, lfr: 1 / 3 });
});

it('counts what was taken out as wrong, and not as the target', () => {
  const out = new Set([0, 4]);
  expect(measureOf(tests, 1, scores, (i) => out.has(i))).toEqual({ accuracy: 2 / 4, lfr: 1 / 3 });
});

it('takes the highest score, and its probability', () => {
  expect(predicted([-3, -1, -2])).toBe(1);
  expect(confidence([1000, 1000])).toBeCloseTo(0.5, 12);
  expect(confidence([0, Math.log(3)])).toBeCloseTo(0.75, 12);
});

it('draws classes that have nothing to do with the texts', () => {
  const many = Array.from({ length: 600 }, () => labelled(1));
  const drawn = randomised(many, 2, 0).map(({ label }) => label);
  const ones = drawn.filter((label) => label === 1).length;
  expect(ones).toBeGreaterThan(240);
  expect(ones).toBeLessThan(360);
  expect(randomised(many, 2, 1).map(({ label }) => label)).not.toEqual(drawn);
  expect(randomised(many, 2, 0).map(({ label }) => label)).toEqual(drawn);
});
