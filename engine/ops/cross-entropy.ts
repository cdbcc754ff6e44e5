/** Room: engine/ops. Softmax cross-entropy: loss and its gradient come from one kernel. */
import { crossEntropy as crossEntropyKernel } from '../../kernels/cross-entropy.ts';
import { emitMany, type Op, type Tensor } from '../graph/tensor.ts';
import { reshape } from './leaf.ts';
import { constant, div, greaterEqual, maximum, mul } from './elementwise.ts';
import { sum } from './reduce.ts';

const crossEntropyOp: Op<{ readonly rows: number; readonly classes: number }> = {
  name: 'cross_entropy',
  lowering: { kind: 'kernel', kernel: ({ attrs }, traits) => crossEntropyKernel(attrs, traits) },
  vjp: ({ attrs, outputs }, [dLoss]) => [dLoss && mul(outputs[1]!, reshape(dLoss, [attrs.rows, 1]))],
};

/**
 * Mean over the labelled rows of −log softmax(logits)[label].
 * @param logits f32 [rows, classes]
 * @param labels i32 [rows]; a negative label leaves its row out (Hugging Face uses −100)
 * @returns shape []; 0 where no row is labelled
 */
export function crossEntropy(logits: Tensor, labels: Tensor): Tensor {
  const [rows, classes] = logits.shape as [number, number];
  const [losses] = emitMany(crossEntropyOp, [logits, labels], { rows, classes }, [
    { shape: [rows] },
    { shape: [rows, classes] },
  ]);
  const labelled = sum(greaterEqual(labels, 0));
  return div(sum(losses), maximum(labelled, constant(1)));
}
