/** Room: data/metrics. Accuracy, F1 and Matthews' correlation of predicted classes, as scikit-learn defines them. Pure functions. */

/** Rows of a class: as label, as prediction, and as both. */
export interface ClassCounts {
  readonly actual: number;
  readonly predicted: number;
  readonly hits: number;
}

/** Scores of a class against the rest; what has no denominator is 0. */
export interface ClassScores {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/** Ratios without a denominator are 0. */
export function ratio(numerator: number, denominator: number): number {
  return denominator === 0 ? 0 : numerator / denominator;
}

/** The mean; 0 of nothing. */
export function meanOf(values: readonly number[]): number {
  return ratio(
    values.reduce((sum, x) => sum + x, 0),
    values.length,
  );
}

export function classScores({ actual, predicted, hits }: ClassCounts): ClassScores {
  return {
    precision: ratio(hits, predicted),
    recall: ratio(hits, actual),
    f1: ratio(2 * hits, actual + predicted),
  };
}

/** Counts of every class that is a label or a prediction. */
function countsOf(labels: ArrayLike<number>, predictions: ArrayLike<number>): Map<number, ClassCounts> {
  const counts = new Map<number, { actual: number; predicted: number; hits: number }>();
  const of = (c: number) => {
    const known = counts.get(c) ?? { actual: 0, predicted: 0, hits: 0 };
    counts.set(c, known);
    return known;
  };
  for (let i = 0; i < labels.length; i++) {
    const [label, prediction] = [labels[i]!, predictions[i]!];
    of(label).actual++;
    of(prediction).predicted++;
    if (label === prediction) of(label).hits++;
  }
  return counts;
}

/**
 * Share of predictions that are the label; 0 of no rows.
 * @param predictions as many as labels
 */
export function accuracy(labels: ArrayLike<number>, predictions: ArrayLike<number>): number {
  let right = 0;
  for (let i = 0; i < labels.length; i++) right += Number(labels[i] === predictions[i]);
  return ratio(right, labels.length);
}

/** F1 of class 1 (scikit-learn's `average="binary"`); 0 where it is neither label nor prediction. */
export function f1OfClassOne(labels: ArrayLike<number>, predictions: ArrayLike<number>): number {
  const counts = countsOf(labels, predictions).get(1);
  return counts ? classScores(counts).f1 : 0;
}

/** Mean F1 of the classes that are a label or a prediction (scikit-learn's `average="macro"`). */
export function f1Macro(labels: ArrayLike<number>, predictions: ArrayLike<number>): number {
  return meanOf([...countsOf(labels, predictions).values()].map((counts) => classScores(counts).f1));
}

/** Matthews' correlation of any number of classes, in [−1, 1]; 0 where labels or predictions are all of one class. */
export function matthews(labels: ArrayLike<number>, predictions: ArrayLike<number>): number {
  const rows = labels.length;
  const sums = { hits: 0, both: 0, actual: 0, predicted: 0 };
  for (const { hits, actual, predicted } of countsOf(labels, predictions).values()) {
    sums.hits += hits;
    sums.both += actual * predicted;
    sums.actual += actual * actual;
    sums.predicted += predicted * predicted;
  }
  // One root: of equal factors it is exact, so that the figure stays within its bounds.
  const spread = Math.sqrt((rows * rows - sums.actual) * (rows * rows - sums.predicted));
  return ratio(sums.hits * rows - sums.both, spread);
}
