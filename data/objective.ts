/**
 * Room: data. What a head is trained for: the form of its labels, its loss, and how its scores are judged. Losses are those of
 * transformers' models of the same heads. The trainer knows no more of tasks than this.
 */
import type { InputSpec } from '../engine/compile/program.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { selectIndex, permute, slice } from '../engine/ops/copy.ts';
import { crossEntropy } from '../engine/ops/cross-entropy.ts';
import {
  add,
  iota,
  constant,
  div,
  exp,
  greaterEqual,
  log,
  maximum,
  mul,
  square,
  sub,
  where,
} from '../engine/ops/elementwise.ts';
import { reshape } from '../engine/ops/leaf.ts';
import { sum } from '../engine/ops/reduce.ts';
import { fusedLinearCrossEntropy } from '../engine/ops/vocabulary.ts';
import type { HeadKind } from '../models/architecture.ts';
import { option, UserError } from '../engine/errors.ts';
import { didYouMean } from '../engine/nearest.ts';
import type { Batch } from './data-loader.ts';
import { IGNORE_INDEX, NO_VALUE, sequencesOf, SPAN_FACTS, type EncodedExample } from './encoded-example.ts';
import { mostChoices, type Examples } from './example-store.ts';
import { labelsOfRows } from './micro-batches.ts';
import {
  labelSetMetrics,
  logitMetrics,
  regressionMetrics,
  type LabelSetMetrics,
  type LossMetrics,
  type RegressionMetrics,
} from './metrics.ts';
import { answerMetrics, type AnswerMetrics, type AnswerOptions } from './qa/answers.ts';

/** Figures of a data set, whatever its head. */
export type ScoreMetrics = LossMetrics | LabelSetMetrics | RegressionMetrics | AnswerMetrics;

/** What training may ask of a loss beyond the plain one. */
export interface LossOptions {
  /** Part of a label's weight that is spread over all classes, in [0, 1). */
  readonly labelSmoothing?: number | undefined;
  /** What examples of each class count, by the class's name; 1 unless given. */
  readonly classWeights?: Readonly<Record<string, number>> | undefined;
}

/** What a head is trained for. */
export interface Objective {
  readonly head: HeadKind;
  /** Labels of a batch of so many sequences, as `DataLoader` makes them. */
  readonly labels: (batch: number, seq: number) => InputSpec;
  /**
   * Mean over what is labelled, shape []; 0 where nothing is.
   * @param scores f32, what the head gives
   */
  readonly loss: (scores: Tensor, labels: Tensor) => Tensor;
  /** `loss` by the vocabulary's frozen table, in parts, so that the scores of all tokens need not exist at once. */
  readonly fusedLoss?: (hidden: Tensor, table: readonly Tensor[], labels: Tensor) => Tensor;
  /** The labels of so many rows of a batch, from one on, of rows that a batch has; those past the last are not labelled. */
  readonly part: (labels: Batch['labels'], from: number, rows: number, of: number) => Batch['labels'];
  /** What the loss of a part of a batch counts in that of the whole: as many of the labels, or of their weights, as it has. */
  readonly share: (part: Batch['labels'], whole: Batch['labels']) => number;
  /**
   * Figures of a data set; absent for language models, whose figure is the loss.
   * @param scores of every example, in its order
   */
  readonly metrics?: (examples: Examples, scores: readonly Float32Array[], options: AnswerOptions) => ScoreMetrics;
}

/** Labels that lie row by row. */
const BY_ROW: Pick<Objective, 'part' | 'share'> = { part: labelsOfRows, share: shareOf(knownLabels) };

/** One class of several. @param weight of each class */
const classes = (labelSmoothing: number, weight: readonly number[] | undefined): Objective => ({
  ...BY_ROW,
  ...(weight && { share: shareOf((labels) => weightOf(labels, weight)) }),
  head: 'classification',
  labels: (batch) => ({ shape: [batch], dtype: 'i32' }),
  loss: (scores, labels) => crossEntropy(scores, labels, { labelSmoothing, weight }),
  metrics: evaluateClassification,
});

function weightOf(labels: Batch['labels'], weight: readonly number[]): number {
  let total = 0;
  for (const label of labels) total += weight[label] ?? 0;
  return total;
}

/** Any number of classes. */
const labelSets = (classes: number): Objective => ({
  ...BY_ROW,
  head: 'classification',
  labels: (batch) => ({ shape: [batch, classes], dtype: 'f32' }),
  loss: binaryCrossEntropy,
  metrics: (examples, scores) => labelSetMetrics(scores, valuesOf(examples)),
});

/** A number. */
const REGRESSION: Objective = {
  ...BY_ROW,
  head: 'classification',
  labels: (batch) => ({ shape: [batch, 1], dtype: 'f32' }),
  loss: squaredError,
  metrics: (examples, scores) =>
    regressionMetrics(
      scores.map(([score]) => score as number),
      valuesOf(examples).map(([value]) => value as number),
    ),
};

/** One choice of several, each a sequence with one score. @param most that an example has */
const choices = (most: number, labelSmoothing: number): Objective => ({
  head: 'multiple-choice',
  labels: (batch) => ({ shape: [(2 * batch) / most], dtype: 'i32' }),
  part: choicePart,
  share: shareOf((labels) => knownLabels(labels.subarray(0, labels.length / 2))),
  loss: (scores, labels) => choiceLoss(scores, labels, labelSmoothing),
  metrics: evaluateClassification,
});

/** First and last token of an answer. The mean is over those of the whole batch, which its parts know. */
const SPANS: Objective = {
  head: 'question-answering',
  labels: (batch) => ({ shape: [2 * batch + SPAN_FACTS], dtype: 'i32' }),
  part: spanPart,
  share: () => 1,
  loss: spanLoss,
  metrics: answerMetrics,
};

/** The next token. */
const tokens = (head: 'causal-lm' | 'masked-lm', labelSmoothing: number): Objective => ({
  ...BY_ROW,
  head,
  labels: (batch, seq) => ({ shape: [batch, seq], dtype: 'i32' }),
  loss: (scores, labels) => crossEntropy(scores, labels, { labelSmoothing }),
  fusedLoss: (hidden, table, labels) =>
    fusedLinearCrossEntropy(hidden, table, reshape(labels, [labels.size]), { labelSmoothing }),
});

/** A head with its class names: of one class, it gives a number. */
interface NamedHead {
  readonly head: HeadKind;
  readonly labels: readonly string[];
}

/**
 * The objective that a model's head and the labels of examples ask for.
 * @param examples all of one kind
 * @throws UserError where they are for another head
 */
export function objectiveOf(
  { head, labels }: NamedHead,
  examples: Examples = [],
  { labelSmoothing = 0, classWeights }: LossOptions = {},
): Objective {
  const first = examples.at(0);
  if (first && !isFor(head, first)) {
    throw new UserError(`the examples are not for a head for ${head}: load them for the model, or the model for them`);
  }
  const oneOfSeveral = head === 'classification' && labels.length > 1 && !first?.values;
  if (classWeights && !oneOfSeveral)
    throw new UserError(`${option('classWeights')}: is for one class of several, not for this head`);
  const isSpread = oneOfSeveral || head === 'multiple-choice' || head === 'causal-lm' || head === 'masked-lm';
  if (labelSmoothing > 0 && !isSpread)
    throw new UserError(`${option('labelSmoothing')}: is for classes, choices and tokens, not for this head`);
  switch (head) {
    case 'classification':
      if (labels.length === 1) return REGRESSION;
      if (first?.values) return labelSets(first.values.length);
      return classes(labelSmoothing, classWeights && weightsOf(labels, classWeights));
    case 'multiple-choice': {
      const most = mostChoices(examples);
      if (labelSmoothing > 0) checkEven(examples, most);
      return most > 1 ? choices(most, labelSmoothing) : { ...classes(labelSmoothing, undefined), head };
    }
    case 'question-answering':
      return SPANS;
    case 'causal-lm':
    case 'masked-lm':
      return tokens(head, labelSmoothing);
  }
}

/** Smoothing spreads over all columns: none may be filled up. */
function checkEven(examples: Examples, most: number): void {
  for (const example of examples) {
    if (sequencesOf(example).length < most)
      throw new UserError(`${option('labelSmoothing')}: expects examples that all have the same number of choices`);
  }
}

/** @throws UserError for a name that no class has */
function weightsOf(labels: readonly string[], weights: Readonly<Record<string, number>>): readonly number[] {
  const unknown = Object.keys(weights).find((name) => !labels.includes(name));
  if (unknown === undefined) return labels.map((name) => weights[name] ?? 1);
  const expected = `expected some of ${labels.join(', ')}`;
  throw new UserError(`${option('classWeights')}: found "${unknown}"${didYouMean(unknown, labels)}, ${expected}`);
}

/** Whether labels have the form that a head learns from; an example without any is for all heads. */
function isFor(head: HeadKind, { tokenLabels, span, label, values }: EncodedExample): boolean {
  if (tokenLabels) return head === 'causal-lm' || head === 'masked-lm';
  if (span) return head === 'question-answering';
  return (label === IGNORE_INDEX && !values) || head === 'classification' || head === 'multiple-choice';
}

/** Of class scores, or a score a choice: an example with fewer than others gives the rest no chance. */
function evaluateClassification(examples: Examples, scores: readonly Float32Array[]): LossMetrics {
  const classes = scores.reduce((most, { length }) => Math.max(most, length), 0);
  const logits = new Float32Array(scores.length * classes).fill(-Infinity);
  scores.forEach((row, i) => logits.set(row, i * classes));
  return logitMetrics(
    logits,
    Array.from(examples, ({ label }) => label),
    classes,
  );
}

function valuesOf(examples: Examples): Float32Array[] {
  return Array.from(examples, ({ values = new Float32Array() }) => values);
}

/** Mean over the known labels of (score − label)². @param labels f32 [rows, 1], `NO_VALUE` where not known */
function squaredError(scores: Tensor, labels: Tensor): Tensor {
  const known = isKnown(labels);
  return meanOver(square(where(known, sub(scores, labels), 0)), known);
}

/**
 * Mean over the known labels of −log of what the logistic function of the score gives the label.
 * @param labels f32 [rows, classes]: 0, 1, or `NO_VALUE` where not known
 */
function binaryCrossEntropy(scores: Tensor, labels: Tensor): Tensor {
  const known = isKnown(labels);
  const losses = sub(softplus(scores), mul(scores, where(known, labels, 0)));
  return meanOver(where(known, losses, 0), known);
}

/** log(1 + eˣ); its gradient is the logistic function at 0 too, whatever the maximum's is there. */
function softplus(x: Tensor): Tensor {
  const peak = maximum(x, 0);
  return add(peak, log(add(exp(sub(x, mul(peak, 2))), 1)));
}

function isKnown(labels: Tensor): Tensor {
  return greaterEqual(labels, NO_VALUE / 2);
}

function meanOver(values: Tensor, known: Tensor): Tensor {
  return div(sum(values), maximum(sum(known), constant(1)));
}

/** A part's share of what counts in a batch; 0 where nothing does. */
function shareOf(count: (labels: Batch['labels']) => number): Objective['share'] {
  return (part, whole) => {
    const all = count(whole);
    return all === 0 ? 0 : count(part) / all;
  };
}

/** Labels that are classes, tokens, or values; others are far below. */
function knownLabels(labels: Batch['labels']): number {
  const least = labels instanceof Int32Array ? 0 : NO_VALUE / 2;
  let count = 0;
  for (const label of labels) count += Number(label >= least);
  return count;
}

function spanPart(labels: Batch['labels'], from: number, rows: number, of: number): Int32Array {
  const [starts, ends] = [0, of].map((at) => labelsOfRows(labels.subarray(at, at + of), from, rows, of));
  return Int32Array.of(...starts!, ...ends!, ...labels.subarray(2 * of));
}

/** Scores of places and choices that are out of the running: e to it is 0. */
const FAR_BELOW = -1e30;

function choicePart(labels: Batch['labels'], from: number, rows: number, of: number): Int32Array {
  const half = labels.length / 2;
  const [right, counts] = [0, half].map((at) => labelsOfRows(labels.subarray(at, at + half), from, rows, of));
  return Int32Array.of(...right!, ...counts!);
}

/**
 * Mean cross-entropy over the choices that examples have.
 * @param scores f32 [examples·most, 1]
 * @param labels i32 [2·examples]: the right choices, and how many there are
 */
function choiceLoss(scores: Tensor, labels: Tensor, labelSmoothing: number): Tensor {
  const examples = labels.size / 2;
  const most = scores.size / examples;
  const counts = reshape(slice(labels, 0, examples, examples), [examples, 1]);
  const outside = greaterEqual(iota([examples, most]), counts);
  const own = where(outside, FAR_BELOW, reshape(scores, [examples, most]));
  return crossEntropy(own, slice(labels, 0, 0, examples), { labelSmoothing });
}

/**
 * Mean of the cross-entropies of starts and ends over the places of the batch's longest sequence, as if it were padded no further.
 * @param scores f32 [rows·seq, 2]
 * @param labels i32 [2·rows + 3]: starts, ends, the number of places, and how many starts and ends of the whole batch are known
 */
function spanLoss(scores: Tensor, labels: Tensor): Tensor {
  const rows = (labels.size - SPAN_FACTS) / 2;
  const places = scores.size / 2 / rows;
  const apart = permute(reshape(scores, [rows, places, 2]), [2, 0, 1]);
  const outside = greaterEqual(iota([rows, places]), slice(labels, 0, 2 * rows, 1));
  const loss = (which: 0 | 1): Tensor => {
    const own = where(outside, FAR_BELOW, selectIndex(apart, which));
    const total = crossEntropy(own, slice(labels, 0, which * rows, rows), { reduction: 'sum' });
    return div(total, maximum(reshape(slice(labels, 0, 2 * rows + 1 + which, 1), []), 1));
  };
  return mul(add(loss(0), loss(1)), 0.5);
}
