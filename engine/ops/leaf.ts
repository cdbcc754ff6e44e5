/** Room: engine/ops. Tensors whose data comes from outside the graph, and views of any tensor. */
import type { DType } from '../../kernels/kernel.ts';
import type { Storage } from '../device/memory.ts';
import { showShape, sizeOf, type Shape } from '../graph/shape.ts';
import { attrsOf, emit, type Op, type Tensor } from '../graph/tensor.ts';

/** Data that stays on the device between runs; see `engine/variable.ts`. */
export interface Resident {
  readonly name: string;
  readonly storage: Storage;
}

const variableOp: Op<Resident> = { name: 'variable', lowering: { kind: 'leaf' } };
const inputOp: Op<{ name: string }> = { name: 'input', lowering: { kind: 'leaf' } };

/** The graph's view of resident data: the value it has when the program starts. */
export function variableLeaf(resident: Resident, shape: Shape, dtype: DType): Tensor {
  return emit(variableOp, [], resident, shape, dtype);
}

/** A value given anew at every run of a program. */
export function inputLeaf(name: string, shape: Shape, dtype: DType): Tensor {
  return emit(inputOp, [], { name }, shape, dtype);
}

/** The resident data behind a leaf, if it is one. */
export function residentOf(tensor: Tensor): Resident | undefined {
  return attrsOf(variableOp, tensor.node);
}

/** The input's name behind a leaf, if it is one. */
export function inputNameOf(tensor: Tensor): string | undefined {
  return attrsOf(inputOp, tensor.node)?.name;
}

const reshapeOp: Op<undefined> = {
  name: 'reshape',
  lowering: { kind: 'view' },
  vjp: (node, [dy]) => [dy && reshape(dy, node.inputs[0]!.shape)],
};

/**
 * The same elements in the same order under another shape; costs nothing. One dimension may be −1.
 * @throws Error where the sizes differ
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = shape.filter((n) => n !== -1).reduce((a, b) => a * b, 1);
  const full = shape.map((n) => (n === -1 ? x.size / known : n));
  if (sizeOf(full) !== x.size)
    throw new Error(`reshape: ${showShape(x.shape)} has not the size of ${showShape(shape)}`);
  if (x.shape.length === full.length && x.shape.every((n, i) => n === full[i])) return x;
  return emit(reshapeOp, [x], undefined, full, x.dtype);
}
