/** Protects: what holds of every figure whatever the predictions: its bounds, that the order of rows is nothing, what is left out. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { squadMetrics, taskMetrics, type Judged, type MetricName } from '../../../data/metrics.ts';

const OF_CLASSES: readonly MetricName[] = ['accuracy', 'f1', 'f1Macro', 'f1a', 'f1m', 'exactMatch', 'matthews'];
const OF_NUMBERS: readonly MetricName[] = ['pearson', 'spearman', 'mse'];
const CORRELATIONS: readonly string[] = ['matthews', 'pearson', 'spearman'];

interface Row {
  readonly label: number;
  readonly prediction: number;
  readonly group: string;
}

function judged(rows: readonly Row[], classes: number): Judged {
  return {
    labels: rows.map(({ label }) => label),
    predictions: rows.map(({ prediction }) => prediction),
    groups: rows.map(({ group }) => group),
    classes,
  };
}

const rowsOf = (value: fc.Arbitrary<number>): fc.Arbitrary<Row[]> =>
  fc.array(fc.record({ label: value, prediction: value, group: fc.constantFrom('a', 'b', 'c') }), { maxLength: 30 });

const classRows = rowsOf(fc.nat(3));
const numberRows = rowsOf(
  fc.oneof(
    fc.integer({ min: -8000, max: 8000 }).map((n) => n / 8),
    fc.constantFrom(0.1, 2),
  ),
);

const KINDS: readonly (readonly [string, readonly MetricName[], fc.Arbitrary<Row[]>, number])[] = [
  ['classes', OF_CLASSES, classRows, 4],
  ['numbers', OF_NUMBERS, numberRows, 1],
];

describe.each(KINDS)('figures of %s', (_, names, arbitrary, classes) => {
  it('are finite and within bounds, of no rows too', () => {
    fc.assert(
      fc.property(arbitrary, (rows) => {
        for (const [name, value] of Object.entries(taskMetrics(names, judged(rows, classes)))) {
          expect(value, name).toBeGreaterThanOrEqual(CORRELATIONS.includes(name) ? -1 : 0);
          expect(value, name).toBeLessThanOrEqual(name === 'mse' ? 4e12 : 1);
        }
      }),
    );
  });

  it('are those of the rows in any order', () => {
    const shuffled = arbitrary.chain((rows) =>
      fc.tuple(fc.constant(rows), fc.shuffledSubarray(rows, { minLength: rows.length })),
    );
    fc.assert(
      fc.property(shuffled, ([rows, others]) => {
        const [a, b] = [rows, others].map((all) => taskMetrics(names, judged(all, classes)));
        for (const name of names) expect(a![name], name).toBeCloseTo(b![name], name === 'mse' ? 0 : 6);
      }),
    );
  });

  it('leave out rows without a label', () => {
    const unknown: Row = { label: classes === 1 ? NaN : -100, prediction: 1, group: 'z' };
    fc.assert(
      fc.property(arbitrary, fc.nat(30), (rows, at) => {
        const more = rows.toSpliced(at, 0, unknown);
        expect(taskMetrics(names, judged(more, classes))).toEqual(taskMetrics(names, judged(rows, classes)));
      }),
    );
  });
});

it('correlations of any numbers are within bounds', () => {
  const double = fc.double({ min: -1e6, max: 1e6, noNaN: true });
  fc.assert(
    fc.property(rowsOf(double), (rows) => {
      for (const value of Object.values(taskMetrics(['pearson', 'spearman'], judged(rows, 1))))
        expect(Math.abs(value)).toBeLessThanOrEqual(1);
    }),
  );
});

it('all right is 1, but where nothing is true or nothing varies', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3), { minLength: 1 }), (labels) => {
      const rows = labels.map((label, i) => ({ label, prediction: label, group: String(i % 3) }));
      const found = taskMetrics(OF_CLASSES, judged(rows, 4));
      const hasOne = Number(labels.includes(1));
      const varies = Number(new Set(labels).size > 1);
      expect(found).toMatchObject({ accuracy: 1, f1Macro: 1, exactMatch: 1, f1m: 1, f1: hasOne, f1a: hasOne });
      expect(found.matthews).toBe(varies);
    }),
    // Two roots of the same number: their product is a bit more than it.
    { examples: [[[1, 0, 2]]] },
  );
});

it('a figure of questions asks for them, and rows have to be as many', () => {
  const rows = { labels: [1], predictions: [1], classes: 2 };
  expect(() => taskMetrics(['exactMatch'], rows)).toThrow('no groups');
  expect(() => taskMetrics(['accuracy'], { ...rows, predictions: [1, 0] })).toThrow('1 labels, but 2 predictions');
  expect(() => taskMetrics(['f1m'], { ...rows, groups: [] })).toThrow('1 labels, but 0 groups');
});

describe('the best threshold', () => {
  const answer = fc.constantFrom('', 'a dog', 'two dogs', 'cat');
  const expected = fc.oneof(fc.constant([]), fc.array(fc.constantFrom('dog', 'cat', 'dogs'), { minLength: 1 }));
  const questions = fc.array(fc.record({ answer, expected }), { minLength: 1, maxLength: 20 }).map((rows) =>
    // No two alike, all above 0.
    rows.map((row, i) => ({ ...row, noAnswerScore: ((i * 7) % 23) + 1 })),
  );

  it('gives the best figure, and no other threshold gives more', () => {
    fc.assert(
      fc.property(questions, (rows) => {
        const { bestF1, bestF1Threshold, bestExactMatch, bestExactMatchThreshold } = squadMetrics(rows);
        fc.pre(bestF1 !== undefined);
        expect(squadMetrics(rows, bestF1Threshold).f1).toBeCloseTo(bestF1, 12);
        expect(squadMetrics(rows, bestExactMatchThreshold).exactMatch).toBeCloseTo(bestExactMatch!, 12);
        for (let threshold = 0; threshold <= 24; threshold++) {
          const { f1, exactMatch } = squadMetrics(rows, threshold);
          expect(f1).toBeLessThanOrEqual(bestF1 + 1e-12);
          expect(exactMatch).toBeLessThanOrEqual(bestExactMatch! + 1e-12);
        }
      }),
    );
  });

  it('both kinds of questions make up the whole', () => {
    fc.assert(
      fc.property(questions, fc.nat(24), (rows, threshold) => {
        const all = squadMetrics(rows, threshold);
        const { hasAnsTotal = 0, hasAnsF1 = 0, noAnsTotal, noAnsF1 = 0 } = all;
        if (noAnsTotal === undefined) return;
        expect(hasAnsTotal + noAnsTotal).toBe(all.count);
        expect((hasAnsTotal * hasAnsF1 + noAnsTotal * noAnsF1) / all.count).toBeCloseTo(all.f1, 12);
      }),
    );
  });
});
