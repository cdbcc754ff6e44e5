/** Room: data/metrics. How close predicted numbers are: squared error, and Pearson's and Spearman's correlation. Pure functions. */
import { sampleCorrelation } from 'simple-statistics';
import { meanOf } from './classes.ts';

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
  const mse = meanSquaredError(y, x);
  return { count: known.length, mse, pearson: pearson(y, x), spearman: spearman(y, x), loss: mse };
}

/** Mean of (label − prediction)²; 0 of no rows. */
export function meanSquaredError(labels: ArrayLike<number>, predictions: ArrayLike<number>): number {
  return meanOf(Array.from(labels, (label, i) => (label - predictions[i]!) ** 2));
}

/** Pearson's correlation, in [−1, 1]; 0 where a side does not vary, which has no correlation. */
export function pearson(labels: ArrayLike<number>, predictions: ArrayLike<number>): number {
  if (!varies(labels) || !varies(predictions)) return 0;
  const r = sampleCorrelation(Array.from(labels), Array.from(predictions));
  return Number.isFinite(r) ? Math.max(-1, Math.min(1, r)) : 0;
}

/** Spearman's correlation: Pearson's of ranks, equal values sharing the mean of theirs. */
export function spearman(labels: ArrayLike<number>, predictions: ArrayLike<number>): number {
  return pearson(ranks(labels), ranks(predictions));
}

/** Exactly: the mean of equal values may be rounded, and their deviations then correlate. */
function varies(values: ArrayLike<number>): boolean {
  return Array.from(values).some((value) => value !== values[0]);
}

function ranks(values: ArrayLike<number>): Float64Array {
  const order = Array.from(values, (_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const found = new Float64Array(values.length);
  for (let from = 0, to = 0; from < order.length; from = to) {
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let i = from; i < to; i++) found[order[i]!] = (from + to - 1) / 2;
  }
  return found;
}
