/** Protects: the figures everything is judged by, against cases worked out by hand (and scikit-learn's definitions). */
import { describe, expect, it } from 'vitest';
import { classificationMetrics, logitMetrics } from '../../../train/data/metrics.ts';

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
