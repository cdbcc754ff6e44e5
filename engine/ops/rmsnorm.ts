/** Room: engine/ops. Root-mean-square normalisation over the last dimension (Zhang & Sennrich 2019). */
import * as kernels from '../../kernels/rmsnorm.ts';
import { normParts, type NormSpec } from '../../kernels/norm.ts';
import { showShape } from '../graph/shape.ts';
import { emit, emitMany, type Op, type Tensor } from '../graph/tensor.ts';
import { sumCols } from './reduce.ts';

const rmsNormOp: Op<NormSpec> = {
  name: 'rms_norm',
  cheap: true,
  lowering: { kind: 'kernel', kernel: ({ attrs }, traits) => kernels.rmsNorm(attrs, traits) },
  vjp: ({ attrs, inputs }, [dy], needs) => {
    if (!dy) return [];
    const [x, gamma] = inputs as [Tensor, Tensor];
    if (!needs[1]) return [emit(backwardOp, [x, gamma, dy], attrs, x.shape)];
    const parts = normParts(attrs.rows);
    const [dx, dGamma] = emitMany(backwardParamsOp, [x, gamma, dy], attrs, [
      { shape: x.shape },
      { shape: [parts, attrs.cols] },
    ]);
    return [dx, sumCols(dGamma, parts, attrs.cols)];
  },
};

const backwardOp: Op<NormSpec> = {
  name: 'rms_norm_backward',
  lowering: {
    kind: 'kernel',
    overwrites: 0,
    kernel: ({ attrs }, traits, { inPlace }) => kernels.rmsNormBackward(attrs, traits, inPlace),
  },
};

const backwardParamsOp: Op<NormSpec> = {
  name: 'rms_norm_backward_params',
  lowering: { kind: 'kernel', kernel: ({ attrs }, traits) => kernels.rmsNormBackwardParams(attrs, traits) },
};

/**
 * x / √(mean(x²) + eps) · gamma over the last dimension. The root is computed again in the backward pass.
 * @param x f32 [..., n]
 * @param gamma f32 [n]
 * @returns f32, of x's shape
 * @throws Error naming the shapes where they do not fit
 */
export function rmsNorm(x: Tensor, gamma: Tensor, eps: number): Tensor {
  const cols = x.shape.at(-1) ?? 1;
  if (gamma.size !== cols)
    throw new Error(`rmsNorm: weight ${showShape(gamma.shape)} does not fit ${showShape(x.shape)}`);
  return emit(rmsNormOp, [x, gamma], { rows: x.size / cols, cols, eps }, x.shape);
}
