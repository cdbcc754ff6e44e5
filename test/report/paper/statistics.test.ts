/** Protects: differences between methods and their intervals, which claims are judged by. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostRandom } from '../../../engine/random.ts';
import { accuracy, pairedDifference, verdict } from '../../../report/paper/statistics.ts';

/** Predictions that are right with some probability, where rows have difficulties of their own. */
function drawn(rows: number, seeds: number, right: number, stream: number) {
  const random = hostRandom(stream, 99);
  const labels = Array.from({ length: rows }, () => random.below(2));
  const runs = Array.from({ length: seeds }, () =>
    labels.map((label) => (random.uniform() < right ? label : 1 - label)),
  );
  return { labels, runs };
}

describe('a paired difference', () => {
  it('is the mean of the scores’ differences', () => {
    const labels = [0, 1, 1, 0];
    const own = [[0, 1, 1, 0], [0, 1, 1, 1]]; // prettier-ignore
    const other = [[0, 0, 1, 0], [1, 0, 1, 1]]; // prettier-ignore
    const { mean } = pairedDifference([{ own, other, labels, score: accuracy }]);
    expect(mean).toBeCloseTo((1 + 0.75) / 2 - (0.75 + 0.25) / 2, 12);
  });

  it('is 0 without an error for the same predictions', () => {
    const { labels, runs } = drawn(50, 3, 0.8, 1);
    expect(pairedDifference([{ own: runs, other: runs, labels, score: accuracy }])).toEqual({
      mean: 0,
      standardError: 0,
      low: 0,
      high: 0,
    });
  });

  it('has the standard error of independent rows, where seeds add nothing', () => {
    const { labels, runs } = drawn(400, 1, 0.7, 2);
    const { runs: others } = drawn(400, 1, 0.7, 3);
    const other = [labels.map((label, row) => (others[0]![row] === 1 ? label : 1 - label))];
    const differences = labels.map((label, row) => Number(runs[0]![row] === label) - Number(other[0]![row] === label));
    const mean = differences.reduce((a, b) => a + b, 0) / 400;
    const expected = Math.sqrt(differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / 400 / 400);
    const found = pairedDifference([{ own: runs, other, labels, score: accuracy }]);
    expect(found.standardError / expected).toBeGreaterThan(0.93);
    expect(found.standardError / expected).toBeLessThan(1.07);
    expect(found.low).toBeLessThan(found.mean);
    expect(found.high).toBeGreaterThan(found.mean);
  });

  it('is antisymmetric, and within its bounds', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 3 }),
        fc.nat(1000),
        (rows, seeds, stream) => {
          const { labels, runs: own } = drawn(rows, seeds, 0.6, stream);
          const { runs: other } = drawn(rows, seeds, 0.6, stream + 1);
          const found = pairedDifference([{ own, other, labels, score: accuracy }]);
          const turned = pairedDifference([{ own: other, other: own, labels, score: accuracy }]);
          expect(turned.mean).toBeCloseTo(-found.mean, 12);
          expect(found.low).toBeGreaterThanOrEqual(-1);
          expect(found.high).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 10 },
    );
  });

  it('of pooled tasks has a smaller error than that of one', () => {
    const tasks = [4, 5, 6, 7].map((stream) => {
      const { labels, runs: own } = drawn(60, 2, 0.7, stream);
      return {
        own,
        other: own.map((run) => run.map((value, row) => (row % 5 === 0 ? 1 - value : value))),
        labels,
        score: accuracy,
      };
    });
    const [one, all] = [pairedDifference([tasks[0]!]), pairedDifference(tasks)];
    expect(all.standardError).toBeLessThan(one.standardError);
  });
});

describe('a verdict', () => {
  const of = (mean: number, standardError: number) => ({ mean, standardError, low: 0, high: 0 });

  it('needs two standard errors', () => {
    expect(verdict(of(0.03, 0.01), 'above')).toBe('holds');
    expect(verdict(of(0.015, 0.01), 'above')).toBe('cannot be told');
    expect(verdict(of(-0.03, 0.01), 'above')).toBe('does not');
  });

  it('of not being below allows a margin', () => {
    expect(verdict(of(-0.005, 0.002), 'not below', 0.01)).toBe('holds');
    expect(verdict(of(-0.02, 0.002), 'not below', 0.01)).toBe('does not');
    expect(verdict(of(-0.005, 0.01), 'not below', 0.01)).toBe('cannot be told');
  });
});
