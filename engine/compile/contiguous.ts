/** Room: engine/compile. Which tensors lie, or can be put, side by side in memory without gaps: one kernel can then run through them. */
import type { Storage } from '../device/memory.ts';
import type { Tensor } from '../graph/tensor.ts';

/** Bytes to which every tensor in the arena is aligned. */
export const ARENA_ALIGNMENT = 256;

/** Whether ranges of memory follow each other. */
export function areContiguous(storages: readonly (Storage | undefined)[]): boolean {
  const [first] = storages;
  return storages.every(
    (s, i) =>
      first && s && s.buffer === first.buffer && s.bytes === first.bytes && s.offset === first.offset + i * s.bytes,
  );
}

/** Whether one binding can hold all of them. */
export function fitBinding(roots: readonly Tensor[], limit: number): boolean {
  return roots.reduce((sum, { bytes }) => sum + bytes, 0) <= limit;
}

/** Whether the arena leaves no gap between tensors of this size. */
export function fitsArena({ bytes }: Tensor): boolean {
  return bytes % ARENA_ALIGNMENT === 0;
}
