/** Room: engine/ops. Softmax cross-entropy: loss and its gradient come from one kernel. */
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
  /** What a label of each class counts; all alike unless given. */
  readonly weight?: readonly number[] | undefined;
}

/**
 * Mean over the labelled rows of −log softmax(logits)[label]; with options PyTorch's `CrossEntropyLoss(weight, label_smoothing)`, whose mean
 * is over the weights of the labels.
 * @param logits f32 [rows, classes]
 * @param labels i32 [rows]; a negative label leaves its row out (Hugging Face uses −100)
 * @returns shape []; 0 where no row is labelled
 * @throws Error where there are not as many weights as classes
 */
export function crossEntropy(
  logits: Tensor,
  labels: Tensor,
  { labelSmoothing = 0, weight }: CrossEntropyOptions = {},
): Tensor {
  const [rows, classes] = logits.shape as [number, number];
  if (weight && weight.length !== classes)
    throw new Error(`crossEntropy: ${weight.length} weights for ${classes} classes`);
  const [losses] = emitMany(crossEntropyOp, [logits, labels], { rows, classes }, [
    { shape: [rows] },
    { shape: [rows, classes] },
  ]);
  const known = greaterEqual(labels, 0);
  if (labelSmoothing === 0 && !weight) return div(sum(losses), maximum(sum(known), constant(1)));
  const isLabel = equal(iota([rows, classes]), reshape(labels, [rows, 1]));
  const weights = weight ? classWeights(weight) : undefined;
  const ofLabel = weights ? sumLast(mul(isLabel, weights)) : known;
  const sharp = mul(mul(losses, ofLabel), 1 - labelSmoothing);
  const total = weights ? maximum(sum(ofLabel), constant(LEAST_WEIGHT)) : maximum(sum(known), constant(1));
  if (labelSmoothing === 0) return div(sum(sharp), total);
  // −log p of all classes: what the label's is, and by how much its score is above each.
  const own = sumLast(mul(isLabel, logits));
  const above = weights
    ? mul(sub(reshape(add(losses, own), [rows, 1]), logits), weights)
    : sub(reshape(add(losses, own), [rows, 1]), logits);
  const smooth = mul(where(known, sumLast(above), 0), labelSmoothing / classes);
  return div(add(sum(sharp), sum(smooth)), total);
}

/** In place of 0, where no label counts anything. */
const LEAST_WEIGHT = 1e-12;

/** f32 [1, classes] */
function classWeights(weight: readonly number[]): Tensor {
  const column = iota([1, weight.length]);
  return weight.reduce((all, value, c) => where(equal(column, c), value, all), constant(0, [1, weight.length]));
}
