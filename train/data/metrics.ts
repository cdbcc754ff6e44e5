/** Room: train. Figures of a classifier from its logits or predictions, as scikit-learn defines them. Pure functions. */

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
    const label = labels[i] as number;
    const prediction = predictions[i] as number;
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
    const row = Array.from({ length: classes }, (_, c) => logits[i * classes + c] as number);
    const max = Math.max(...row);
    predictions[i] = Math.max(0, row.indexOf(max));
    const label = labels[i] as number;
    if (label < 0) continue;
    loss += max + Math.log(row.reduce((sum, x) => sum + Math.exp(x - max), 0)) - (row[label] as number);
  }
  const metrics = classificationMetrics(labels, predictions, classes);
  return { ...metrics, loss: ratio(loss, metrics.count) };
}
