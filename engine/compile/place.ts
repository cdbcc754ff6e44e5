/** Room: engine/compile. Where tensors lie in memory, and which lie where they must. */
import type { Storage } from '../device/memory.ts';
import type { Tensor } from '../graph/tensor.ts';
import { inputNameOf, residentOf } from '../ops/leaf.ts';
import { packOf, type TracedGraph } from './graph.ts';
import { readsOf, type FusionGroup } from './fusion-group.ts';

/** Where a root tensor lies; `offset` counts bytes from the start of the block. */
export type Place =
  | { readonly kind: 'arena'; readonly block: Block; readonly offset: number }
  | { readonly kind: 'resident'; readonly storage: Storage }
  | { readonly kind: 'input'; readonly name: string };

/** A range of the arena, held from the group `start` to the group `end` inclusive. */
export interface Block {
  /** The tensor it was made for; others may take it over in place. */
  readonly name: string;
  readonly bytes: number;
  readonly start: number;
  end: number;
  offset: number;
}

/** Leaves, updates and packed parts lie where they must. */
export function fixedPlaces(graph: TracedGraph, groups: readonly FusionGroup[]): Map<Tensor, Place> {
  const places = new Map<Tensor, Place>();
  for (const root of new Set(groups.flatMap((group) => readsOf(graph, group)).concat([...graph.kept()]))) {
    const resident = residentOf(root);
    const input = inputNameOf(root);
    const packed = packOf(root);
    if (resident) places.set(root, { kind: 'resident', storage: resident.storage });
    if (input !== undefined) places.set(root, { kind: 'input', name: input });
    if (packed) {
      const { buffer, offset, bytes } = packed.into.storage;
      places.set(root, { kind: 'resident', storage: { buffer, offset, bytes } });
      root.node.inputs.forEach((input, i) => {
        const part = graph.root(input);
        const start = offset + packed.offsets[i]! * 4;
        places.set(part, { kind: 'resident', storage: { buffer, offset: start, bytes: part.size * 4 } });
      });
    }
  }
  for (const { target, value } of graph.results.updates) {
    places.set(graph.root(value), { kind: 'resident', storage: target.storage });
  }
  return places;
}
