/** Room: engine/ops. Marks that tell the compiler what a backward pass reads of the forward pass, and where layers begin. */
import { emit, type Op, type Tensor } from '../graph/tensor.ts';

const savedForBackwardOp: Op<undefined> = { name: 'saved_for_backward', lowering: { kind: 'view' } };

/**
 * A forward value as the backward pass reads it. The compiler decides whether it is kept until then or computed again
 * (`engine/compile/recompute.ts`). Leaves are at hand anyway and stay themselves.
 */
export function savedForBackward(x: Tensor): Tensor {
  return x.node.inputs.length === 0 ? x : emit(savedForBackwardOp, [x], undefined, x.shape, x.dtype);
}

export function isSavedForBackward({ node }: Tensor): boolean {
  return node.op === savedForBackwardOp;
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

const castF16SaturatingOp: Op<undefined> = {
  name: 'cast_f16_saturating',
  lowering: { kind: 'elementwise', expression: ([x]) => ({ text: `clip(${x}, 65504.0)` }) },
};

/** x in f16, out-of-range values at the largest. Not differentiable. @param x f32 */
export function castF16Saturating(x: Tensor): Tensor {
  return emit(castF16SaturatingOp, [x], undefined, x.shape, 'f16');
}

const castF32Op: Op<undefined> = {
  name: 'cast_f32',
  lowering: { kind: 'elementwise', expression: ([x]) => ({ text: x! }) },
};

/** x in f32. Not differentiable. @param x f16 */
export function castF32(x: Tensor): Tensor {
  return emit(castF32Op, [x], undefined, x.shape);
}
