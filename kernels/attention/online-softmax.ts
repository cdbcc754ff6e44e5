/**
 * Room: kernels/attention. The online softmax of FlashAttention (Dao et al. 2022, algorithm 1, in the order of Dao 2023; first in
 * Milakov & Gimelshein 2018), with its names: `m` is a query's greatest score so far, `l` the sum of exp(score − m) and `alpha` what l and
 * the output shrink by when m grows to `m_new`. Scores are multiplied by log₂e, for exp2; the output is divided by l once, at the end.
 */
import { LEAST, LN2 } from './spec.ts';

/** Where m and l wait between steps; `m` is a WGSL variable while a step runs. */
export interface SoftmaxState {
  /** WGSL of l. */
  readonly l: string;
  store(m: string, l: string): string;
}

/** Both as variables of the lane. */
export const IN_REGISTERS: SoftmaxState & { readonly declaration: string } = {
  declaration: `var m = ${LEAST};\nvar l = 0.0;`,
  l: 'l',
  store: (m, l) => `m = ${m};\nl = ${l};`,
};

/** WGSL of what one step adds: its scores' maximum, statements that turn scores into weights by `weightOf`, and their sum. */
export interface SoftmaxStep {
  readonly max: string;
  readonly weights: string;
  readonly sum: string;
}

/** Takes a step's scores into m and l. What is summed with the old weights is then to be multiplied by `alpha`. */
export function onlineSoftmax(state: SoftmaxState, { max, weights, sum }: SoftmaxStep): string {
  return `let m_new = max(m, ${max});
let alpha = exp2(m - m_new);
${weights}
${state.store('m_new', `${state.l} * alpha + ${sum}`)}`;
}

/** exp(score − m_new), or 0 where a condition is given and true. */
export function weightOf(score: string, unseen?: string): string {
  const weight = `exp2(${score} - m_new)`;
  return unseen === undefined ? weight : `select(${weight}, 0.0, ${unseen})`;
}

/** 1 / l (or `numerator` / l), and 0 for a query that saw no key; NaN for one of NaN. */
export function reciprocal(l: string, numerator = '1.0', noKey = `${l} == 0.0`): string {
  return `select(${numerator} / ${l}, 0.0, ${noKey})`;
}

/** The log-sum-exp of a query's scores, which the backward pass recomputes weights from; 0 for one that saw no key. */
export function logSumExp(m: string, l: string, noKey = `${l} == 0.0`): string {
  return `select((${m} + log2(${l})) * ${LN2}, 0.0, ${noKey})`;
}
