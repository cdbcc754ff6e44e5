/** Protects: the baseline beside every result is scikit-learn's, and its solver finds the optimum. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitLogistic, scores, type SparseRow } from '../../../experiments/baseline/logistic.ts';
import { runBaseline, terms, TfidfVectorizer } from '../../../experiments/baseline/tfidf.ts';
import { loadTask } from '../../../data/tasks/built-in.ts';

function dense(row: SparseRow, features: number): number[] {
  const values = new Array<number>(features).fill(0);
  row.columns.forEach((column, k) => (values[column] = row.values[k]!));
  return values;
}

describe('TfidfVectorizer', () => {
  it('takes words of two or more characters and pairs of neighbours', () => {
    expect(terms("I didn't LIKE it_2, déjà vu")).toEqual(
      ['didn', 'like', 'it_2', 'déjà', 'vu', 'didn like', 'like it_2', 'it_2 déjà', 'déjà vu'], // prettier-ignore
    );
  });

  it('weighs by smoothed inverse document frequency and normalises', () => {
    // Terms: aa (in both), bb, cc, and the pairs "aa bb", "aa cc" (in one each).
    const { vectorizer, rows } = TfidfVectorizer.fit(['aa bb', 'aa aa cc']);
    const rare = Math.log(3 / 2) + 1;
    expect(vectorizer.features).toBe(6);
    const norm = Math.hypot(1, rare, rare);
    [1, rare, rare].forEach((x, i) => expect(rows[0]!.values[i]).toBeCloseTo(x / norm, 12));
    const unseen = vectorizer.transform(['zz', 'bb zz']);
    expect(unseen[0]!.values).toHaveLength(0);
    expect([...unseen[1]!.values]).toEqual([1]);
  });
});

describe('fitLogistic', () => {
  it('finds the point where the gradient of the penalised loss is 0', () => {
    const entry = fc.record({ column: fc.nat({ max: 5 }), value: fc.integer({ min: -4, max: 4 }) });
    const row = fc.uniqueArray(entry, { selector: ({ column }) => column, maxLength: 4 });
    const data = fc.array(fc.tuple(row, fc.boolean()), { minLength: 2, maxLength: 12 });
    fc.assert(
      fc.property(data, fc.constantFrom(0.1, 1, 10), (examples, c) => {
        const targets = examples.map(([, target]) => target);
        // Of one class alone, the unpenalised intercept has no optimum.
        fc.pre(new Set(targets).size === 2);
        const rows = examples.map(([entries]) => ({
          columns: Int32Array.from(entries, ({ column }) => column),
          values: Float64Array.from(entries, ({ value }) => value),
        }));
        const [, model] = fitLogistic(rows, targets, 6, [c / 3, c]);
        const residuals = scores(rows, model!).map((margin, i) => c / (1 + Math.exp(-margin)) - c * Number(targets[i]));
        for (let column = 0; column <= 6; column++) {
          const loss = rows.reduce(
            (sum, sparse, i) => sum + (column === 6 ? 1 : dense(sparse, 6)[column]!) * residuals[i]!,
            0,
          );
          expect(Math.abs(loss + (column === 6 ? 0 : model![column]!))).toBeLessThan(1e-4 * c);
        }
      }),
    );
  });
});

describe('runBaseline', () => {
  it('reproduces scikit-learn 1.9 on the published sentiment split', async () => {
    const { labels, train, test } = await loadTask('sentiment');
    const result = runBaseline({ labels, train, test });
    expect(result.features).toBe(SCIKIT_LEARN.features);
    expect(result.accuracy).toBeCloseTo(SCIKIT_LEARN.accuracy, 10);
    expect(result.f1).toBeCloseTo(SCIKIT_LEARN.f1, 10);
  });

  it('chooses the penalty on validation texts', () => {
    const label = (i: number): { text: string; label: number } => ({
      text: i % 2 ? 'good fine' : 'poor dull',
      label: i % 2,
    });
    const texts = Array.from({ length: 8 }, (_, i) => label(i));
    const rareWord = { text: 'superb', label: 1 };
    const train = [...texts, { text: 'dull superb', label: 1 }, { text: 'poor', label: 0 }, { text: 'dull', label: 0 }];
    const data = { labels: ['0', '1'], train, test: texts };
    expect(runBaseline(data)).toMatchObject({ inverseStrength: 1, accuracy: 1 });
    expect(runBaseline({ ...data, validation: [rareWord, ...texts] }).inverseStrength).toBeGreaterThanOrEqual(1);
  });

  it('handles more than two classes and pairs', () => {
    const words = ['red', 'green', 'blue'];
    const texts = Array.from({ length: 30 }, (_, i) => ({ text: 'the colour', textPair: words[i % 3]!, label: i % 3 }));
    const result = runBaseline({ labels: words, train: texts.slice(0, 15), test: texts.slice(15) });
    expect(result).toMatchObject({ accuracy: 1, f1: 1, count: 15 });
  });
});

/** `TfidfVectorizer(ngram_range=(1, 2))`, `LogisticRegression(C=1)` on the training split, test split's figures. */
const SCIKIT_LEARN = { features: 19414, accuracy: 0.8223350253807107, f1: 0.8223350253807107 };
