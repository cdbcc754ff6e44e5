/** Room: engine/ops. Marks that tell the compiler what a backward pass reads of the forward pass, and where layers begin. */
import { emit, type Op, type Tensor } from '../graph/tensor.ts';

const recallOp: Op<undefined> = { name: 'recall', lowering: { kind: 'view' } };

/**
 * A forward value as the backward pass reads it. The compiler decides whether it is kept until then or computed again
 * (`engine/compile/recompute.ts`). Leaves are at hand anyway and stay themselves.
 */
export function recall(x: Tensor): Tensor {
  return x.node.inputs.length === 0 ? x : emit(recallOp, [x], undefined, x.shape, x.dtype);
}

export function isRecall({ node }: Tensor): boolean {
  return node.op === recallOp;
}

const checkpointOp: Op<undefined> = { name: 'checkpoint', lowering: { kind: 'view' }, vjp: (_, [dy]) => [dy] };

/**
 * x itself, as the border between two layers. With gradient checkpointing such values are kept, and all that lies between them is
 * computed again in the backward pass (Chen et al. 2016); without it, this changes nothing.
 */
export function checkpoint(x: Tensor): Tensor {
  return emit(checkpointOp, [x], undefined, x.shape, x.dtype);
}

export function isCheckpoint({ node }: Tensor): boolean {
  return node.op === checkpointOp;
}

const narrowOp: Op<undefined> = {
  name: 'narrow',
  lowering: { kind: 'elementwise', expression: ([x]) => ({ text: `clamp(${x}, V(-65504.0), V(65504.0))` }) },
};

/** x in f16, out-of-range values at the largest. Not differentiable. @param x f32 */
export function narrow(x: Tensor): Tensor {
  return emit(narrowOp, [x], undefined, x.shape, 'f16');
}

const widenOp: Op<undefined> = {
  name: 'widen',
  lowering: { kind: 'elementwise', expression: ([x]) => ({ text: x as string }) },
};

/** x in f32. Not differentiable. @param x f16 */
export function widen(x: Tensor): Tensor {
  return emit(widenOp, [x], undefined, x.shape);
}
