/** Room: engine/ops. Transposition, slices and casts: one strided copy. */
import { stridedCopy } from '../../kernels/copy.ts';
import type { DType } from '../../kernels/kernel.ts';
import { sizeOf, type Shape } from '../graph/shape.ts';
import { emit, type Op, type Tensor } from '../graph/tensor.ts';
import { selectScatter } from './select-scatter.ts';

interface CopyAttrs {
  readonly shape: Shape;
  readonly inStrides: readonly number[];
  readonly inOffset: number;
  readonly from: DType;
  readonly to: DType;
  /** Records the vjp; undefined for a copy that is not differentiable. */
  readonly back?: (dy: Tensor) => Tensor;
}

const copyOp: Op<CopyAttrs> = {
  name: 'strided_copy',
  lowering: { kind: 'kernel', kernel: ({ attrs }, traits) => stridedCopy(attrs, traits) },
  vjp: ({ attrs }, [dy]) => {
    if (!dy) return [undefined];
    if (!attrs.back) throw new Error('this copy is not differentiable');
    return [attrs.back(dy)];
  },
};

/** Elements from one element of each dimension to the next, in row-major order. */
function stridesOf(shape: Shape): number[] {
  return shape.map((_, i) => sizeOf(shape.slice(i + 1)));
}

/** The dimensions in another order, in memory of their own, of x's type, e.g. `permute(x, [1, 0])` for a transposed matrix. */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  const strides = stridesOf(x.shape);
  const shape = order.map((d) => x.shape[d] ?? 1);
  const inverse = order.map((_, d) => order.indexOf(d));
  const back = (dy: Tensor): Tensor => permute(dy, inverse);
  const inStrides = order.map((d) => strides[d] ?? 1);
  return emit(copyOp, [x], { shape, inStrides, inOffset: 0, from: x.dtype, to: x.dtype, back }, shape, x.dtype);
}

/** Elements start … start + length − 1 of one dimension, of x's type. Not differentiable. */
export function slice(x: Tensor, dimension: number, start: number, length: number): Tensor {
  const inStrides = stridesOf(x.shape);
  const shape = x.shape.map((n, d) => (d === dimension ? length : n));
  const attrs = { shape, inStrides, inOffset: start * (inStrides[dimension] ?? 1), from: x.dtype, to: x.dtype };
  return emit(copyOp, [x], attrs, shape, x.dtype);
}

/**
 * Entry `i` of the first dimension: [n, ...rest] → rest (PyTorch’s `select`). Its vjp is zero but there.
 * @throws RangeError where there is no such entry
 */
export function selectIndex(x: Tensor, i: number): Tensor {
  const [n = 1, ...rest] = x.shape;
  if (i < 0 || i >= n) throw new RangeError(`selectIndex: ${i} of ${n}`);
  const inStrides = stridesOf(rest);
  const back = (dy: Tensor): Tensor => selectScatter(dy, i, n);
  const attrs = { shape: rest, inStrides, inOffset: i * sizeOf(rest), from: x.dtype, to: x.dtype, back };
  return emit(copyOp, [x], attrs, rest, x.dtype);
}

/** The same values in memory of their own; unlike `identity`, never fused with anything. */
export function copy(x: Tensor): Tensor {
  const attrs = { shape: x.shape, inStrides: stridesOf(x.shape), inOffset: 0, from: x.dtype, to: x.dtype };
  return emit(copyOp, [x], { ...attrs, back: (dy: Tensor) => dy }, x.shape, x.dtype);
}

/** The same values in another storage type; x itself where it has that. The vjp is not rounded. */
export function cast(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x;
  const attrs = { shape: x.shape, inStrides: stridesOf(x.shape), inOffset: 0, from: x.dtype, to: dtype };
  return emit(copyOp, [x], { ...attrs, back: (dy) => dy }, x.shape, dtype);
}
