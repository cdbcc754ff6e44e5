/** Room: data. A line for every row that was evaluated: its scores, and what is right. Pure functions. */
import type { DataSet } from './load/data-set.ts';
import { byRow } from './text/figures.ts';

/** Log-likelihoods of a row's choices as text, or scores of its classes or choices with the right one. */
export type PredictionLine =
  | { readonly loglikelihood: readonly number[] }
  | { readonly logits: readonly number[]; readonly label?: number | string };

/**
 * Lines in the order of the rows. A label is a class's name, the place of a choice, or a number, where it is known.
 * @param scores of every example of `data.eval`, in its order, as `evaluate` gives them
 */
export function predictionLines(
  { eval: examples, labels, text }: Pick<DataSet, 'eval' | 'labels' | 'text'>,
  scores: readonly Float32Array[],
): PredictionLine[] {
  if (text?.kind === 'choices') {
    const values = scores.map(([score]) => score!);
    return byRow(text.choices, values).map((loglikelihood) => ({ loglikelihood }));
  }
  return scores.map((logits, i) => {
    const { label, values } = examples.at(i)!;
    const right = values ? values[0] : label < 0 ? undefined : (labels[label] ?? label);
    return { logits: [...logits], ...(right !== undefined && { label: right }) };
  });
}
