/**
 * Room: engine/compile. Memory planning: every intermediate gets an offset in one arena, reused as soon as its last reader
 * has run, and taken over in place where that reader computes a tensor of the same size element by element.
 */
import type { Node, Tensor } from '../graph/tensor.ts';
import type { Batched } from './horizontal-fusion.ts';
import type { TracedGraph } from './graph.ts';
import { ARENA_ALIGNMENT } from './contiguous.ts';
import { fixedPlaces, type Block, type Place } from './place.ts';
import { loadsOf, readsOf, spaceOf, takes, type FusionGroup } from './fusion-group.ts';

export interface MemoryPlan {
  readonly places: ReadonlyMap<Tensor, Place>;
  /** Per group: output → load whose memory it takes over. */
  readonly inPlace: readonly ReadonlyMap<Tensor, Tensor>[];
  readonly blocks: readonly Block[];
  readonly arenaBytes: number;
  /** Bytes in use while each group runs. */
  readonly timeline: readonly number[];
}

/** @param limit bytes of a buffer: where the arena is several, none of its blocks crosses from one to the next */
export function planMemory(graph: TracedGraph, { groups, contiguous }: Batched, limit: number): MemoryPlan {
  const lastUse = lastUses(graph, groups);
  const places = fixedPlaces(graph, groups);
  const blocks: Block[] = [];
  const inPlace = groups.map((group, time) => {
    const taken = new Map<Tensor, Tensor>();
    for (const output of group.outputs) {
      const contiguousWith = contiguous.get(output);
      const found = contiguousWith ? undefined : reusable(graph, group, output, time, { places, lastUse, taken });
      // Taking over one of a contiguous group would hold all of it.
      const source = found && !contiguous.has(found) ? found : undefined;
      if (source) taken.set(output, source);
      if (places.has(output)) continue;
      const end = Math.max(...(contiguousWith ?? [output]).map((tensor) => lastUse.get(tensor) ?? time));
      const held = source && places.get(source);
      if (held?.kind === 'arena') {
        held.block.end = Math.max(held.block.end, end);
        places.set(output, held);
      } else {
        const bytes = Math.ceil(output.bytes / ARENA_ALIGNMENT) * ARENA_ALIGNMENT;
        const tensors = contiguousWith ?? [output];
        const block: Block = { name: output.toString(), bytes: bytes * tensors.length, start: time, end, offset: 0 };
        blocks.push(block);
        tensors.forEach((tensor, i) => places.set(tensor, { kind: 'arena', block, offset: i * bytes }));
      }
    }
    return taken;
  });
  const timeline = timelineOf(blocks, groups.length);
  return { places, inPlace, blocks, arenaBytes: assignOffsets(blocks, Math.max(0, ...timeline), limit), timeline };
}

/** Group index of the last reader of each root; kept tensors outlive all groups. */
function lastUses(graph: TracedGraph, groups: readonly FusionGroup[]): Map<Tensor, number> {
  const last = new Map<Tensor, number>();
  groups.forEach((group, time) => {
    for (const root of readsOf(graph, group)) last.set(root, time);
  });
  for (const root of graph.kept()) last.set(root, groups.length);
  return last;
}

interface PlanState {
  readonly places: ReadonlyMap<Tensor, Place>;
  readonly lastUse: ReadonlyMap<Tensor, number>;
  readonly taken: ReadonlyMap<Tensor, Tensor>;
}

/** What `group` reads that `output` may overwrite element by element. */
function reusable(
  graph: TracedGraph,
  group: FusionGroup,
  output: Tensor,
  time: number,
  state: PlanState,
): Tensor | undefined {
  if (group.batch) return undefined;
  const lowering = group.anchor?.op.lowering;
  if (lowering?.kind === 'kernel' && lowering.overwrites !== undefined && output === group.outputs[0]) {
    const root = graph.root((group.anchor as Node).inputs[lowering.overwrites]!);
    const [from, to] = [state.places.get(root), state.places.get(output)];
    const free = from?.kind === 'arena' && !to && state.lastUse.get(root) === time;
    return free || isSameRange(from, to) ? root : undefined;
  }
  if ((group.anchor && takes(group.anchor) !== 'epilogue') || output.size !== spaceOf(group)) return undefined;
  const destination = state.places.get(output);
  const claimed = new Set(state.taken.values());
  return loadsOf(graph, group).find(({ root, inner, count }) => {
    const place = state.places.get(root);
    if (inner !== 1 || count !== output.size || root.dtype !== output.dtype || claimed.has(root) || !place)
      return false;
    if (destination?.kind === 'resident') return isSameRange(place, destination);
    return destination === undefined && place.kind === 'arena' && state.lastUse.get(root) === time;
  })?.root;
}

/** Whether both are the same resident memory. */
function isSameRange(a: Place | undefined, b: Place | undefined): boolean {
  if (a?.kind !== 'resident' || b?.kind !== 'resident') return false;
  return a.storage.buffer === b.storage.buffer && a.storage.offset === b.storage.offset;
}

/** Attempts at an arena without gaps; most programs need none of them. */
const ATTEMPTS = 64;

/**
 * Greedy by size (Pisarchyk & Lee 2020): the largest block first. Where that leaves gaps at the peak, the block that ends highest goes
 * first, and again, until nothing is wasted or nothing helps.
 * @param least bytes below which no arena can be
 * @param limit as for `planMemory`
 */
function assignOffsets(blocks: readonly Block[], least: number, limit: number): number {
  let order = [...blocks].sort((a, b) => b.bytes - a.bytes || a.start - b.start);
  let best = { order, bytes: placeGreedily(order, limit) };
  for (let attempt = 0; attempt < ATTEMPTS && best.bytes > least; attempt++) {
    const highest = order.reduce((a, b) => (b.offset + b.bytes > a.offset + a.bytes ? b : a));
    order = [highest, ...order.filter((block) => block !== highest)];
    const bytes = placeGreedily(order, limit);
    if (bytes < best.bytes) best = { order, bytes };
  }
  return placeGreedily(best.order, limit);
}

/** Each block in turn at the lowest offset that is free for its whole life. @returns bytes needed */
function placeGreedily(blocks: readonly Block[], limit: number): number {
  const uncut = (offset: number, bytes: number): number => {
    const end = (Math.floor(offset / limit) + 1) * limit;
    return offset + bytes > end ? end : offset;
  };
  const placed: Block[] = [];
  for (const block of blocks) {
    const rivals = placed
      .filter((p) => p.start <= block.end && block.start <= p.end)
      .sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const rival of rivals) {
      if (offset + block.bytes <= rival.offset) break;
      offset = uncut(Math.max(offset, rival.offset + rival.bytes), block.bytes);
    }
    block.offset = offset;
    placed.push(block);
  }
  return placed.reduce((peak, b) => Math.max(peak, b.offset + b.bytes), 0);
}

function timelineOf(blocks: readonly Block[], groups: number): number[] {
  return Array.from({ length: groups }, (_, time) =>
    blocks.reduce((sum, b) => sum + (b.start <= time && time <= b.end ? b.bytes : 0), 0),
  );
}
