/** Room: engine/ops. Layer normalisation over the last dimension (Ba et al. 2016). */
import * as kernels from '../../kernels/layernorm.ts';
import { normParts, type NormSpec } from '../../kernels/norm.ts';
import { showShape } from '../graph/shape.ts';
import { emit, emitMany, type Node, type Op, type Tensor } from '../graph/tensor.ts';
import { sumCols } from './reduce.ts';

const layerNormOp: Op<NormSpec> = {
  name: 'layer_norm',
  cheap: true,
  lowering: { kind: 'kernel', kernel: ({ attrs }, traits) => kernels.layerNorm(attrs, traits) },
  vjp: ({ attrs, inputs }, [dy], needs) => {
    if (!dy) return [];
    const [x, gamma] = inputs as [Tensor, Tensor, Tensor];
    if (!needs[1] && !needs[2]) return [emit(backwardOp, [x, gamma, dy], attrs, x.shape)];
    const parts = normParts(attrs.rows);
    const [dx, dGamma, dBeta] = emitMany(backwardParamsOp, [x, gamma, dy], { ...attrs, parts }, [
      { shape: x.shape },
      { shape: [parts, attrs.cols] },
      { shape: [parts, attrs.cols] },
    ]);
    return [dx, sumCols(dGamma, parts, attrs.cols), sumCols(dBeta, parts, attrs.cols)];
  },
};

const backwardOp: Op<NormSpec> = {
  name: 'layer_norm_backward',
  lowering: {
    kind: 'kernel',
    overwrites: 0,
    kernel: ({ attrs }, traits, { inPlace }) => kernels.layerNormBackward(attrs, traits, { inPlace }),
  },
};

const backwardAgainOp: Op<NormSpec> = {
  name: 'layer_norm_backward_also_forward',
  lowering: {
    kind: 'kernel',
    overwrites: 0,
    kernel: ({ attrs }, traits, { inPlace }) =>
      kernels.layerNormBackward(attrs, traits, { inPlace, alsoForward: true }),
  },
};

export function isLayerNorm(node: Node): boolean {
  return node.op === (layerNormOp as Op);
}

/** Whether `node` is the gradient of a normalisation's input alone; its inputs are x, gamma, dy. */
export function isLayerNormBackward(node: Node): boolean {
  return node.op === (backwardOp as Op);
}

/** A normalisation and its backward pass from one reading of x. @returns the gradient of x, and the normalised x */
export function layerNormBackwardAgain(norm: Node, backward: Node): readonly [Tensor, Tensor] {
  const beta = norm.inputs[2]!;
  const shape = backward.outputs[0]!.shape;
  return emitMany(backwardAgainOp, [...backward.inputs, beta], norm.attrs as NormSpec, [{ shape }, { shape }]);
}

const backwardParamsOp: Op<NormSpec & { readonly parts: number }> = {
  name: 'layer_norm_backward_params',
  lowering: { kind: 'kernel', kernel: ({ attrs }, traits) => kernels.layerNormBackwardParams(attrs, traits) },
};

/**
 * (x − mean) / √(variance + eps) · gamma + beta over the last dimension. Statistics are recomputed in the backward pass.
 * @param x f32 [..., n]
 * @param gamma f32 [n]
 * @param beta f32 [n]
 * @returns f32, of x's shape
 * @throws Error naming the shapes where they do not fit
 */
export function layerNorm(x: Tensor, gamma: Tensor, beta: Tensor, eps: number): Tensor {
  const cols = x.shape.at(-1) ?? 1;
  if (gamma.size !== cols || beta.size !== cols) {
    throw new Error(
      `layerNorm: weights ${showShape(gamma.shape)}, ${showShape(beta.shape)} do not fit ${showShape(x.shape)}`,
    );
  }
  return emit(layerNormOp, [x, gamma, beta], { rows: x.size / cols, cols, eps }, x.shape);
}
