/** Room: data/text. Figures of a task as text from the likelihoods of its choices. Pure functions. */
import type { Examples } from '../example-store.ts';
import { taskMetrics, type MetricName } from '../metrics.ts';

/** What is known of a row whose choices are judged. */
export interface JudgedRow {
  /** Index of the right choice. */
  readonly gold: number;
  /** Characters of each answer. */
  readonly lengths: readonly number[];
  readonly texts?: { readonly choices: readonly string[]; readonly expected: readonly string[] };
}

/** Figures of a task as text. */
export type TextFigures = Partial<Record<MetricName, number>> & {
  /** Rows. */
  readonly count: number;
  /** Mean over the tokens of the right choices of −log of their probability, in nats. */
  readonly loss: number;
};

/**
 * The most likely choice is the prediction, the first of equal ones; of `accuracyNorm` the most likely by character.
 * @param examples of all choices, row by row
 * @param scores of each its log-likelihood
 */
export function textFigures(
  metrics: readonly MetricName[],
  rows: readonly JudgedRow[],
  examples: Examples,
  scores: readonly Float32Array[],
): TextFigures {
  const likelihoods = byRow(
    rows.map(({ lengths }) => lengths.length),
    scores.map(([score]) => score!),
  );
  const predictions = likelihoods.map(largest);
  const judged = {
    labels: rows.map(({ gold }) => gold),
    predictions,
    normalized: likelihoods.map((row, i) => largest(row.map((value, c) => value / rows[i]!.lengths[c]!))),
    classes: Math.max(...likelihoods.map((row) => row.length)),
    texts: rows.flatMap(({ texts }, i) =>
      texts ? [{ answer: texts.choices[predictions[i]!]!, expected: texts.expected }] : [],
    ),
  };
  const { texts, ...classes } = judged;
  const figures = taskMetrics(metrics, texts.length > 0 ? judged : classes);
  return { ...figures, ...goldLoss(rows, examples, likelihoods) };
}

function goldLoss(
  rows: readonly JudgedRow[],
  examples: Examples,
  likelihoods: readonly (readonly number[])[],
): Pick<TextFigures, 'count' | 'loss'> {
  let [first, tokens, sum] = [0, 0, 0];
  rows.forEach(({ gold, lengths }, i) => {
    tokens += answerTokens(examples.at(first + gold)!.tokenLabels!);
    sum -= likelihoods[i]![gold]!;
    first += lengths.length;
  });
  return { count: rows.length, loss: sum / Math.max(1, tokens) };
}

function answerTokens(labels: Int32Array): number {
  return labels.reduce((count, label) => count + Number(label >= 0), 0);
}

/** Values of neighbours as rows. @param sizes of the rows */
export function byRow<T>(sizes: readonly number[], values: readonly T[]): T[][] {
  let end = 0;
  return sizes.map((size) => values.slice(end, (end += size)));
}

function largest(values: readonly number[]): number {
  return Math.max(0, values.indexOf(Math.max(...values)));
}
