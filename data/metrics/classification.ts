/** Room: data/metrics. The figures of a classifier: of one class of several, and of sets of classes. Pure functions. */
import { classScores, meanOf, ratio, type ClassCounts, type ClassScores } from './classes.ts';

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
  const counts = confusion.map((_, c) => countsIn(confusion, c));
  const scores = classes === 2 ? counts.slice(1).map(classScores) : scoresOfFound(counts);
  return { count, accuracy: ratio(correct, count), ...means(scores), confusion };
}

function countsIn(confusion: readonly (readonly number[])[], c: number): ClassCounts {
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  return {
    hits: confusion[c]?.[c] ?? 0,
    actual: sum(confusion[c] ?? []),
    predicted: sum(confusion.map((row) => row[c] ?? 0)),
  };
}

/** Of the classes that are label or prediction. */
function scoresOfFound(counts: readonly ClassCounts[]): ClassScores[] {
  return counts.filter(({ actual, predicted }) => actual + predicted > 0).map(classScores);
}

function means(scores: readonly ClassScores[]): ClassScores {
  return {
    f1: meanOf(scores.map(({ f1 }) => f1)),
    precision: meanOf(scores.map(({ precision }) => precision)),
    recall: meanOf(scores.map(({ recall }) => recall)),
  };
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
  const counts = Array.from({ length: classes }, () => ({ hits: 0, actual: 0, predicted: 0 }));
  let [loss, right] = [0, 0];
  for (const { row, score } of labelled) {
    let wrong = 0;
    counts.forEach((own, c) => {
      const [label, x] = [row[c]!, score[c]!];
      const prediction = Number(x > 0);
      own.actual += label;
      own.predicted += prediction;
      own.hits += label * prediction;
      wrong += Number(prediction !== label);
      loss += Math.max(x, 0) - x * label + Math.log1p(Math.exp(-Math.abs(x)));
    });
    right += Number(wrong === 0);
  }
  const count = labelled.length;
  return { count, accuracy: ratio(right, count), ...means(scoresOfFound(counts)), loss: ratio(loss, count * classes) };
}
