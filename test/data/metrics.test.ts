/** Protects: the figures everything is judged by, against cases worked out by hand (and scikit-learn's definitions). */
import { describe, expect, it } from 'vitest';
import { classificationMetrics, labelSetMetrics, logitMetrics, regressionMetrics } from '../../data/metrics.ts';

describe('classificationMetrics', () => {
  it('two classes: scores of class 1', () => {
    // 3 true positives, 1 false positive, 2 false negatives, 4 true negatives.
    const labels = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0];
    const predictions = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0];
    const metrics = classificationMetrics(labels, predictions, 2);
    expect(metrics).toEqual({
      count: 10,
      accuracy: 0.7,
      precision: 3 / 4,
      recall: 3 / 5,
      f1: 2 / 3,
      confusion: [
        [4, 1],
        [2, 3],
      ],
    });
  });

  it('more classes: mean over the classes that occur', () => {
    // Class 0: precision 1/2, recall 1/2. Class 1: 1/1, 1/2. Class 2: 1/2, 1/1. Class 3 occurs nowhere.
    const metrics = classificationMetrics([0, 0, 1, 1, 2], [0, 2, 1, 0, 2], 4);
    expect(metrics.accuracy).toBeCloseTo(3 / 5, 12);
    expect(metrics.precision).toBeCloseTo((1 / 2 + 1 + 1 / 2) / 3, 12);
    expect(metrics.recall).toBeCloseTo((1 / 2 + 1 / 2 + 1) / 3, 12);
    expect(metrics.f1).toBeCloseTo((1 / 2 + 2 / 3 + 2 / 3) / 3, 12);
  });

  it('counts no example without a label, and gives 0 where there is nothing to divide by', () => {
    expect(classificationMetrics([-100, 1], [0, 1], 2)).toMatchObject({ count: 1, accuracy: 1, f1: 1 });
    expect(classificationMetrics([-100], [0], 2)).toMatchObject({
      count: 0,
      accuracy: 0,
      f1: 0,
      precision: 0,
      recall: 0,
    });
    expect(classificationMetrics([0, 0], [0, 0], 2)).toMatchObject({ accuracy: 1, f1: 0 });
  });
});

describe('logitMetrics', () => {
  it('takes the largest logit and the mean cross-entropy of labelled examples', () => {
    const logits = [0, Math.log(3), 2, 2, 5, -5];
    const metrics = logitMetrics(Float32Array.from(logits), [1, 1, -100], 2);
    expect(metrics.loss).toBeCloseTo((Math.log(4 / 3) + Math.log(2)) / 2, 6);
    expect(metrics).toMatchObject({ count: 2, accuracy: 0.5 });
    expect(metrics.confusion).toEqual([
      [0, 0],
      [1, 1],
    ]);
  });

  it('stays finite for large logits', () => {
    expect(logitMetrics([1000, -1000, 0], [2], 3).loss).toBeCloseTo(1000, 6);
  });
});

describe('labelSetMetrics', () => {
  it('takes scores above 0 for classes: exact share, macro F1 over classes that occur, mean binary cross-entropy', () => {
    const scores = [
      [1, -1, -2],
      [1, 2, -1],
      [-1, 3, -1],
      [9, 9, 9],
    ];
    const labels = [[1, 0, 0], [0, 1, 0], [0, 1, 0], []];
    const found = labelSetMetrics(scores, labels);
    // Class 0: one hit, one false alarm; class 1 all right; class 2 never.
    expect(found).toMatchObject({ count: 3, accuracy: 2 / 3, precision: 0.75, recall: 1 });
    expect(found.f1).toBeCloseTo((2 / 3 + 1) / 2, 12);
    const loss = labels
      .slice(0, 3)
      .flatMap((row, i) => row.map((y, c) => Math.log(1 + Math.exp(scores[i]![c]!)) - y * scores[i]![c]!));
    expect(found.loss).toBeCloseTo(loss.reduce((a, b) => a + b, 0) / 9, 12);
  });
});

describe('regressionMetrics', () => {
  it('squared error and both correlations, ties sharing ranks; examples without a value left out', () => {
    const found = regressionMetrics([1, 2, 4, 4, 50], [1, 3, 2, 8, undefined]);
    expect(found).toMatchObject({ count: 4, mse: (0 + 1 + 4 + 16) / 4, loss: 21 / 4 });
    // Σ(x−x̄)(y−ȳ) / √(Σ(x−x̄)²·Σ(y−ȳ)²), of the values and of the ranks 0, 1, 2½, 2½ and 0, 2, 1, 3.
    expect(found.pearson).toBeCloseTo(8.5 / Math.sqrt(6.75 * 29), 12);
    expect(found.spearman).toBeCloseTo(3 / Math.sqrt(4.5 * 5), 12);
  });

  it('is 0 where nothing varies', () => {
    expect(regressionMetrics([1, 1], [1, 2])).toMatchObject({ pearson: 0, spearman: 0, mse: 0.5 });
    expect(regressionMetrics([], [])).toMatchObject({ count: 0, mse: 0, pearson: 0 });
  });
});
