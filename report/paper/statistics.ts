/**
 * Room: report/paper. What differences between methods are worth: paired, with examples and seeds resampled together. Pure; the same seed gives the
 * same intervals.
 */
import { quantileSorted } from 'simple-statistics';
import { hostRandom, STREAM } from '../../engine/random.ts';

/** A score from predictions of some rows and what is right. */
export type Score = (predictions: readonly number[], labels: readonly number[]) => number;

/** Two methods on the same rows, a list of predictions for each seed; seeds in the same order. */
export interface Paired {
  readonly own: readonly (readonly number[])[];
  readonly other: readonly (readonly number[])[];
  readonly labels: readonly number[];
  readonly score: Score;
}

export interface Difference {
  /** Mean over seeds of the scores' differences. */
  readonly mean: number;
  /** Of the resampled means: the standard error, and the middle 95 %. */
  readonly standardError: number;
  readonly low: number;
  readonly high: number;
}

/** Resamples, enough for two digits of the interval's ends. */
const RESAMPLES = 2000;

/**
 * The difference of two methods, own − other. Rows and seeds are drawn with replacement, the same ones for both methods: the hierarchical
 * bootstrap (Davison and Hinkley 1997, 3.8). With several tasks they are pooled: their differences are averaged within each resample.
 */
export function pairedDifference(tasks: readonly Paired[], seed = 0): Difference {
  const mean = average(
    tasks.map((task) => differenceOn(task, identity(task.labels.length), identity(task.own.length))),
  );
  const random = hostRandom(seed, STREAM.bootstrap);
  const draw = (count: number): number[] => Array.from({ length: count }, () => random.below(count));
  const resampled = Array.from({ length: RESAMPLES }, () =>
    average(tasks.map((task) => differenceOn(task, draw(task.labels.length), draw(task.own.length)))),
  ).sort((a, b) => a - b);
  const centre = average(resampled);
  const variance = resampled.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (RESAMPLES - 1);
  return {
    mean,
    standardError: Math.sqrt(variance),
    low: quantileSorted(resampled, 0.025),
    high: quantileSorted(resampled, 0.975),
  };
}

function differenceOn(
  { own, other, labels, score }: Paired,
  rows: readonly number[],
  seeds: readonly number[],
): number {
  const right = rows.map((row) => labels[row]!);
  const of = (predictions: readonly number[]): number => score(rows.map((row) => predictions[row]!), right); // prettier-ignore
  return average(seeds.map((seed) => of(own[seed]!) - of(other[seed]!)));
}

const identity = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

function average(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

export const accuracy: Score = (predictions, labels) =>
  predictions.filter((value, row) => value === labels[row]).length / labels.length;

/** What a difference shows, in words: at two standard errors. */
export function verdict(
  { mean, standardError }: Difference,
  claim: 'above' | 'not below',
  margin = 0,
): 'holds' | 'does not' | 'cannot be told' {
  const gain = claim === 'above' ? mean : mean + margin;
  if (gain > 2 * standardError) return 'holds';
  return gain < -2 * standardError ? 'does not' : 'cannot be told';
}
