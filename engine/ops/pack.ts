/** Room: engine/ops. Results laid side by side in resident memory, so that one kernel can update many tensors. */
import { emit, type Op, type Tensor } from '../graph/tensor.ts';
import { identity } from './elementwise.ts';
import type { Resident } from './leaf.ts';

/** Where each input goes: elements from the start of the resident data. */
export interface PackAttrs {
  readonly into: Resident;
  readonly offsets: readonly number[];
}

export const packOp: Op<PackAttrs> = { name: 'pack', lowering: { kind: 'view' } };

/**
 * The whole of `into` after its parts have been written by the kernels that compute `parts`; no copy is made.
 * Bytes between the parts keep what they held.
 * @param size elements of `into`
 * @param offsets in elements, one per part, each fitting the device's offset alignment
 */
export function pack(parts: readonly Tensor[], offsets: readonly number[], into: Resident, size: number): Tensor {
  const seen = new Set<Tensor>();
  const own = parts.map((part) => {
    const fresh = part.node.op.lowering.kind !== 'leaf' && part.node.op.lowering.kind !== 'view' && !seen.has(part);
    seen.add(part);
    return fresh ? part : identity(part);
  });
  return emit(packOp, own, { into, offsets }, [size]);
}
