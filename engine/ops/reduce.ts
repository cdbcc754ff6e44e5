/** Room: engine/ops. Sums and expansion, each the vjp of the other. */
import { colParts, reduceCols, reduceColsPartial, reduceRows } from '../../kernels/reduce.ts';
import type { Fragment } from '../../kernels/fragment.ts';
import { sameShape, sizeOf, type Shape } from '../graph/shape.ts';
import { emit, type Op, type Tensor } from '../graph/tensor.ts';
import { reshape } from './leaf.ts';

interface Matrix {
  readonly rows: number;
  readonly cols: number;
}

/** What a reduction sums where nothing was fused into it: its input as it is. */
function identityFragment({ inputs }: { readonly inputs: readonly Tensor[] }): Fragment {
  const x = inputs[0]!;
  return {
    inputs: [{ name: 'x', dtype: x.dtype, inner: 1, count: x.size }],
    body: [],
    outputs: [{ name: 'value', dtype: 'f32', value: 'x' }],
  };
}

const expandOp: Op<undefined> = {
  name: 'expand',
  lowering: { kind: 'elementwise', expression: ([x]) => ({ text: `${x}` }) },
  vjp: (node, [dy]) => [dy && sumToSize(dy, node.inputs[0]!.shape)],
};

const sumRowsOp: Op<Matrix> = {
  name: 'sum_rows',
  lowering: {
    kind: 'anchor',
    takes: 'prologue',
    kernel: (node, fused, traits) =>
      reduceRows({ ...node.attrs, op: 'sum', prologue: fused ?? identityFragment(node) }, traits),
  },
  vjp: ({ attrs: { rows, cols } }, [dy]) => [dy && expand(reshape(dy, [rows, 1]), [rows, cols])],
};

const sumColsOp: Op<Matrix> = {
  name: 'sum_cols',
  lowering: {
    kind: 'anchor',
    takes: 'prologue',
    kernel: (node, fused, traits) => reduceCols({ ...node.attrs, prologue: fused ?? identityFragment(node) }, traits),
  },
  vjp: ({ attrs: { rows, cols } }, [dy]) => [dy && expand(reshape(dy, [1, cols]), [rows, cols])],
};

/** First pass of a tall column sum. Only vjps sum tall columns, so it has no vjp itself. */
const sumColsPartialOp: Op<Matrix> = {
  name: 'sum_cols_partial',
  lowering: {
    kind: 'anchor',
    takes: 'prologue',
    kernel: (node, fused, traits) =>
      reduceColsPartial({ ...node.attrs, prologue: fused ?? identityFragment(node) }, traits),
  },
};

/** x repeated to a larger shape (numpy's rule; PyTorch's `expand`), f32. Fused into whatever reads it. */
export function expand(x: Tensor, shape: Shape): Tensor {
  return sameShape(x.shape, shape) ? x : emit(expandOp, [x], undefined, shape);
}

/** Sum over the columns: [rows, cols] → [rows]. */
function sumRows(x: Tensor, rows: number, cols: number): Tensor {
  return emit(sumRowsOp, [reshape(x, [rows, cols])], { rows, cols }, [rows]);
}

/** Sum over the rows of x seen as a matrix, f32: [rows, cols] → [cols]; tall matrices in two passes. */
export function sumCols(x: Tensor, rows: number, cols: number): Tensor {
  const parts = colParts(rows, cols);
  const matrix = reshape(x, [rows, cols]);
  if (parts === 1) return emit(sumColsOp, [matrix], { rows, cols }, [cols]);
  const partial = emit(sumColsPartialOp, [matrix], { rows, cols }, [parts, cols]);
  return emit(sumColsOp, [partial], { rows: parts, cols }, [cols]);
}

/** Sum of all elements, f32, shape []. Long sums go in two passes. */
export function sum(x: Tensor): Tensor {
  const cols = chunk(x.size);
  const rows = x.size / cols;
  const partial = sumRows(x, rows, cols);
  return reshape(rows === 1 ? partial : sumRows(partial, 1, rows), []);
}

/** The divisor of `size` that splits a long sum into at most 1,024 rows of comparable work. */
function chunk(size: number): number {
  if (size <= 4096) return size;
  for (let rows = Math.min(1024, Math.floor(Math.sqrt(size))); rows > 1; rows--)
    if (size % rows === 0) return size / rows;
  return size;
}

/** Sum over the last dimension, f32: [..., n] → [...]. */
export function sumLast(x: Tensor): Tensor {
  const cols = x.shape.at(-1) ?? 1;
  return reshape(sumRows(x, x.size / cols, cols), x.shape.slice(0, -1));
}

/**
 * Sums a tensor down to a shape that broadcasts to its own (PyTorch's `sum_to_size`): the vjp of broadcasting.
 * @throws Error where the dimensions that stay are no single run
 */
export function sumToSize(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const padded = [...Array<number>(x.shape.length - shape.length).fill(1), ...shape];
  let start = 0;
  while (start < padded.length && padded[start] === 1) start++;
  if (start === padded.length) return reshape(sum(x), shape);
  let end = padded.length;
  while (padded[end - 1] === 1) end--;
  const outer = sizeOf(x.shape.slice(0, start));
  const kept = sizeOf(padded.slice(start, end));
  const inner = sizeOf(x.shape.slice(end));
  if (outer * kept * inner !== x.size || kept !== sizeOf(shape))
    throw new Error('sumToSize: more than one run of dimensions');
  const trailing = inner === 1 ? x : sumRows(x, outer * kept, inner);
  return reshape(outer === 1 ? trailing : sumCols(trailing, outer, kept), shape);
}
