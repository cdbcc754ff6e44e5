/** Room: engine/ops. Softmax cross-entropy: loss and its gradient come from one kernel; smoothing and weights are ops around it. */
import { crossEntropy as crossEntropyKernel } from '../../kernels/cross-entropy.ts';
import { emitMany, type Op, type Tensor } from '../graph/tensor.ts';
import { reshape } from './leaf.ts';
import { add, constant, div, equal, greaterEqual, iota, maximum, mul, sub, where } from './elementwise.ts';
import { sum, sumLast } from './reduce.ts';

const crossEntropyOp: Op<{ readonly rows: number; readonly classes: number }> = {
  name: 'cross_entropy',
  lowering: { kind: 'kernel', kernel: ({ attrs }, traits) => crossEntropyKernel(attrs, traits) },
  vjp: ({ attrs, outputs }, [dLoss]) => [dLoss && mul(outputs[1]!, reshape(dLoss, [attrs.rows, 1]))],
};

/** What is not plain cross-entropy, under PyTorch's names. */
export interface CrossEntropyOptions {
  /** Part of every label's weight that is spread over all classes, in [0, 1); 0 unless given. */
  readonly labelSmoothing?: number | undefined;
  /** What a label of each class counts, above 0; all alike unless given. */
  readonly weight?: readonly number[] | undefined;
  /** `mean` over the weights of the labels unless given. */
  readonly reduction?: 'mean' | 'sum';
}

/**
 * −log softmax(logits)[label] over the labelled rows: PyTorch's `CrossEntropyLoss` with its options.
 * @param logits f32 [rows, classes]
 * @param labels i32 [rows]; a negative label leaves its row out (Hugging Face uses −100)
 * @returns shape []; 0 where no row is labelled
 * @throws Error where there are not as many weights as classes
 */
export function crossEntropy(
  logits: Tensor,
  labels: Tensor,
  { labelSmoothing = 0, weight, reduction = 'mean' }: CrossEntropyOptions = {},
): Tensor {
  const [rows, classes] = logits.shape as [number, number];
  if (weight && weight.length !== classes)
    throw new Error(`crossEntropy: ${weight.length} weights for ${classes} classes`);
  const [losses] = emitMany(crossEntropyOp, [logits, labels], { rows, classes }, [
    { shape: [rows] },
    { shape: [rows, classes] },
  ]);
  const known = greaterEqual(labels, 0);
  const isLabel = equal(iota([rows, classes]), reshape(labels, [rows, 1]));
  const weights = weight && rowOf(weight);
  const ofLabel = weights ? sumLast(mul(isLabel, weights)) : known;
  const sharp = weights ? mul(losses, ofLabel) : losses;
  const smooth = (): Tensor => {
    // −log softmax of every class: the label's, and by how much its logit is above the class's.
    const ofLabels = add(losses, sumLast(mul(isLabel, logits)));
    const all = sub(reshape(ofLabels, [rows, 1]), logits);
    return where(known, sumLast(weights ? mul(all, weights) : all), 0);
  };
  const smoothed =
    labelSmoothing === 0 ? sharp : add(mul(sharp, 1 - labelSmoothing), mul(smooth(), labelSmoothing / classes));
  const total = sum(smoothed);
  return reduction === 'sum' ? total : div(total, maximum(sum(ofLabel), LEAST_WEIGHT));
}

/** In place of 0, where nothing is labelled. */
const LEAST_WEIGHT = 1e-12;

/** Numbers as a tensor f32 [1, n]. */
function rowOf(values: readonly number[]): Tensor {
  const column = iota([1, values.length]);
  return values.reduce((row, value, i) => where(equal(column, i), value, row), constant(0, [1, values.length]));
}
