/** Room: data. Figures of a classifier or a regression from its scores or predictions, as scikit-learn defines them. Pure functions. */
import { sampleCorrelation, sampleRankCorrelation } from 'simple-statistics';

/** Figures of predicted classes. All but the counts are between 0 and 1. */
export interface Metrics {
  /** Examples with a label. */
  readonly count: number;
  readonly accuracy: number;
  /** Two classes: of class 1. More: the mean over the classes that occur as label or prediction (macro). */
  readonly f1: number;
  readonly precision: number;
  readonly recall: number;
  /** `confusion[label][prediction]`, counts. */
  readonly confusion: readonly (readonly number[])[];
}

/** Metrics with the mean cross-entropy, in nats. */
export interface LossMetrics extends Metrics {
  readonly loss: number;
}

/**
 * Figures of predicted classes.
 * @param labels class indices; negative ones (no label) are left out
 * @param predictions class indices, as many
 */
export function classificationMetrics(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  classes: number,
): Metrics {
  const confusion = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  let count = 0;
  let correct = 0;
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    const prediction = predictions[i]!;
    const row = confusion[label];
    if (!row) continue;
    row[prediction] = (row[prediction] ?? 0) + 1;
    count++;
    if (label === prediction) correct++;
  }
  const scores = confusion.map((_, c) => classScores(confusion, c));
  const chosen = classes === 2 ? scores.slice(1) : scores.filter(({ support }) => support > 0);
  const mean = (key: 'f1' | 'precision' | 'recall'): number =>
    ratio(
      chosen.reduce((sum, score) => sum + score[key], 0),
      chosen.length,
    );
  return {
    count,
    accuracy: ratio(correct, count),
    f1: mean('f1'),
    precision: mean('precision'),
    recall: mean('recall'),
    confusion,
  };
}

/** Scores of class c against the rest; `support` counts where it is label or prediction. */
function classScores(confusion: readonly (readonly number[])[], c: number) {
  const hits = confusion[c]?.[c] ?? 0;
  const actual = (confusion[c] ?? []).reduce((sum, n) => sum + n, 0);
  const predicted = confusion.reduce((sum, row) => sum + (row[c] ?? 0), 0);
  return {
    precision: ratio(hits, predicted),
    recall: ratio(hits, actual),
    f1: ratio(2 * hits, actual + predicted),
    support: actual + predicted,
  };
}

/** Ratios without a denominator are 0. */
function ratio(numerator: number, denominator: number): number {
  return denominator === 0 ? 0 : numerator / denominator;
}

/**
 * Predictions are the largest logits, the first of equal ones; the loss is summed in double precision.
 * @param logits [count, classes]
 * @param labels [count]; negative ones (no label) are left out
 */
export function logitMetrics(logits: ArrayLike<number>, labels: ArrayLike<number>, classes: number): LossMetrics {
  const predictions = new Int32Array(labels.length);
  let loss = 0;
  for (let i = 0; i < labels.length; i++) {
    const row = Array.from({ length: classes }, (_, c) => logits[i * classes + c]!);
    const max = Math.max(...row);
    predictions[i] = Math.max(0, row.indexOf(max));
    const label = labels[i]!;
    if (label < 0) continue;
    loss += max + Math.log(row.reduce((sum, x) => sum + Math.exp(x - max), 0)) - row[label]!;
  }
  const metrics = classificationMetrics(labels, predictions, classes);
  return { ...metrics, loss: ratio(loss, metrics.count) };
}

/** Of classes any number of which may hold. */
export interface LabelSetMetrics {
  /** Examples with labels. */
  readonly count: number;
  /** Share of examples of which every class is told right. */
  readonly accuracy: number;
  /** Means over the classes that occur as label or prediction (macro). */
  readonly f1: number;
  readonly precision: number;
  readonly recall: number;
  /** Mean binary cross-entropy, in nats. */
  readonly loss: number;
}

/**
 * A class is predicted where its score is above 0; the loss is summed in double precision.
 * @param scores a row of class scores for each example
 * @param labels as many rows of 0 and 1; empty ones (no labels) are left out
 */
export function labelSetMetrics(
  scores: readonly ArrayLike<number>[],
  labels: readonly ArrayLike<number>[],
): LabelSetMetrics {
  const labelled = labels.flatMap((row, i) => (row.length > 0 ? [{ row, score: scores[i] as ArrayLike<number> }] : []));
  const classes = labelled[0]?.row.length ?? 0;
  const confusions = Array.from({ length: classes }, () => [
    [0, 0],
    [0, 0],
  ]);
  let [loss, right] = [0, 0];
  for (const { row, score } of labelled) {
    let wrong = 0;
    confusions.forEach((confusion, c) => {
      const [label, x] = [row[c]!, score[c]!];
      const prediction = x > 0 ? 1 : 0;
      confusion[label]![prediction]!++;
      wrong += Number(prediction !== label);
      loss += Math.max(x, 0) - x * label + Math.log1p(Math.exp(-Math.abs(x)));
    });
    right += Number(wrong === 0);
  }
  const found = confusions.map((confusion) => classScores(confusion, 1)).filter(({ support }) => support > 0);
  const mean = (key: 'f1' | 'precision' | 'recall'): number =>
    ratio(
      found.reduce((sum, score) => sum + score[key], 0),
      found.length,
    );
  const count = labelled.length;
  return {
    count,
    accuracy: ratio(right, count),
    f1: mean('f1'),
    precision: mean('precision'),
    recall: mean('recall'),
    loss: ratio(loss, count * classes),
  };
}

/** Figures of predicted numbers. */
export interface RegressionMetrics {
  /** Examples with a value. */
  readonly count: number;
  /** Mean squared error. */
  readonly mse: number;
  /** Correlations, of ranks for Spearman's; 0 where either side does not vary. */
  readonly pearson: number;
  readonly spearman: number;
  /** The mean squared error again: what was trained. */
  readonly loss: number;
}

/**
 * Figures of predicted numbers.
 * @param values as many as `predictions`; undefined ones are left out
 */
export function regressionMetrics(
  predictions: readonly number[],
  values: readonly (number | undefined)[],
): RegressionMetrics {
  const known = values.flatMap((value, i) => (value === undefined ? [] : [[predictions[i]!, value] as const]));
  const [x, y] = [known.map(([prediction]) => prediction), known.map(([, value]) => value)];
  const mse = ratio(
    known.reduce((sum, [a, b]) => sum + (a - b) ** 2, 0),
    known.length,
  );
  const correlation = (of: (a: number[], b: number[]) => number): number => {
    const r = known.length > 1 ? of(x, y) : 0;
    return Number.isFinite(r) ? r : 0;
  };
  return {
    count: known.length,
    mse,
    pearson: correlation(sampleCorrelation),
    spearman: correlation(sampleRankCorrelation),
    loss: mse,
  };
}
