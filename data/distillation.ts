/**
 * Room: data. Knowledge distillation: a student learns from a teacher's scores beside the labels (Hinton et al. 2015,
 * https://arxiv.org/abs/1503.02531). What the teacher says of an example lies in the batch behind its label. Pure.
 */
import type { Tensor } from '../engine/graph/tensor.ts';
import { cast, slice } from '../engine/ops/copy.ts';
import { crossEntropy } from '../engine/ops/cross-entropy.ts';
import {
  add,
  constant,
  div,
  equal,
  exp,
  greaterEqual,
  iota,
  maximum,
  mul,
  sub,
  where,
} from '../engine/ops/elementwise.ts';
import { reshape } from '../engine/ops/leaf.ts';
import { sum, sumLast } from '../engine/ops/reduce.ts';
import { option, UserError } from '../engine/errors.ts';
import type { HeadKind } from '../models/architecture.ts';
import { IGNORE_INDEX, NO_VALUE, type EncodedExample } from './encoded-example.ts';
import type { Examples } from './example-store.ts';
import type { LossOptions, Objective } from './objective.ts';

/** How a teacher's part of a loss is made, and what it counts. */
export interface DistillationTerms {
  /** Of the teacher's part, in (0, 1]; the labels' part has the rest. */
  readonly weight: number;
  /** What scores of classes are divided by before the softmax, of teacher and student. */
  readonly temperature: number;
}

/** A teacher's scores of examples, and how they are learned from. */
export interface Distillation extends DistillationTerms {
  /** f32 [examples, classes], or [examples, 1] of numbers; NaN for examples that nothing is learned from. */
  readonly logits: Float32Array;
}

/** What of a model says whether it can be taught. */
interface NamedHead {
  readonly head: HeadKind;
  readonly labels: readonly string[];
}

/** @throws UserError for a head that distillation is not for, or options that it has no room for */
export function assertDistillable(
  { head, labels }: NamedHead,
  examples: Examples,
  { classWeights }: LossOptions,
): void {
  const isSet = labels.length > 1 && examples.at(0)?.values !== undefined;
  if (head !== 'classification' || isSet) {
    const found = isSet ? 'labels that are sets of classes' : `a head for ${head}`;
    throw new UserError(`${option('distill')}: found ${found}, expected one class of several, or a number to predict`);
  }
  if (classWeights) throw new UserError(`${option('distill')} and ${option('classWeights')}: give one of them`);
}

/** Whether an example has a label that is learned from. */
export function isLabelled({ label, values }: EncodedExample): boolean {
  return values ? values[0]! > NO_VALUE / 2 : label >= 0;
}

/**
 * An objective whose loss is (1 − weight) · that by the labels + weight · that by the teacher: of classes T²·KL(softmax(teacher/T) ‖
 * softmax(student/T)), of numbers the squared difference; both are means over the labelled rows.
 * @param plain the same by the labels alone, for a head that `assertDistillable` lets through
 * @param width scores of an example
 */
export function distilledObjective(plain: Objective, width: number, terms: DistillationTerms): Objective {
  const { weight, temperature } = terms;
  return {
    ...plain,
    labels: (batch) => ({ shape: [batch, 1 + width], dtype: 'f32' }),
    loss: (scores, labels) => {
      const [label, targets] = [slice(labels, 1, 0, 1), slice(labels, 1, 1, width)];
      const own = width === 1 ? label : classOf(label);
      const taught = width === 1 ? plain.loss(scores, targets) : softLoss(scores, targets, own, temperature);
      return weight === 1 ? taught : add(mul(plain.loss(scores, own), 1 - weight), mul(taught, weight));
    },
  };
}

/** Classes as crossEntropy takes them: i32 [rows], negative where there is none. @param label f32 [rows, 1] */
function classOf(label: Tensor): Tensor {
  return reshape(cast(where(greaterEqual(label, 0), label, IGNORE_INDEX), 'i32'), [label.size]);
}

/**
 * T²·KL(teacher ‖ student), a mean over the labelled rows. With s the student's scores over T, t the teacher's log-probabilities and y
 * any class, KL = −log softmax(s)_y + Σ_c e^t_c · (t_c + s_y − s_c); y is the label's.
 * @param scores f32 [rows, classes]
 * @param targets f32 [rows, classes]: t
 * @param labels i32 [rows]; a negative one leaves its row out
 */
function softLoss(scores: Tensor, targets: Tensor, labels: Tensor, temperature: number): Tensor {
  const [rows, classes] = scores.shape as [number, number];
  const soft = mul(scores, 1 / temperature);
  const column = reshape(labels, [rows, 1]);
  const known = greaterEqual(column, 0);
  const ofLabel = reshape(sumLast(mul(equal(iota([rows, classes]), column), soft)), [rows, 1]);
  const others = mul(exp(where(known, targets, 0)), add(where(known, targets, 0), sub(ofLabel, soft)));
  const total = add(crossEntropy(soft, labels, { reduction: 'sum' }), sum(where(known, others, 0)));
  return mul(div(total, maximum(sum(known), constant(1))), temperature ** 2);
}

/** Examples with what `distilledObjective` learns from as their values: the label, then the teacher's targets. */
export class TaughtExamples implements Examples {
  readonly #examples: Examples;
  readonly #width: number;
  readonly #targets: Float32Array;

  /** @param examples at least one */
  constructor(examples: Examples, { logits, temperature }: Distillation) {
    this.#examples = examples;
    this.#width = logits.length / examples.length;
    this.#targets = this.#width === 1 ? logits : logProbabilities(logits, this.#width, temperature);
  }

  get length(): number {
    return this.#examples.length;
  }

  at(index: number): EncodedExample | undefined {
    const example = this.#examples.at(index);
    return example && { ...example, label: IGNORE_INDEX, values: this.#values(example, index) };
  }

  *[Symbol.iterator](): Generator<EncodedExample, void, undefined> {
    for (let i = 0; i < this.length; i++) yield this.at(i)!;
  }

  #values(example: EncodedExample, index: number): Float32Array {
    const values = new Float32Array(1 + this.#width).fill(NO_VALUE);
    if (!isLabelled(example)) return values;
    values[0] = example.values?.[0] ?? example.label;
    values.set(this.#targets.subarray(index * this.#width, (index + 1) * this.#width), 1);
    return values;
  }
}

/** log softmax(logits / T) of each row, in double precision. */
function logProbabilities(logits: Float32Array, width: number, temperature: number): Float32Array {
  const found = new Float32Array(logits.length);
  for (let from = 0; from < logits.length; from += width) {
    const row = Array.from(logits.subarray(from, from + width), (logit) => logit / temperature);
    const most = Math.max(...row);
    const sum = row.reduce((total, x) => total + Math.exp(x - most), 0);
    row.forEach((x, i) => (found[from + i] = x - most - Math.log(sum)));
  }
  return found;
}
