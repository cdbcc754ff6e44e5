/**
 * Room: engine/compile. Memory planning: every intermediate gets an offset in one arena, reused as soon as its last reader
 * has run, and taken over in place where that reader computes a tensor of the same size element by element.
 */
import { BYTES } from '../../kernels/kernel.ts';
import type { Node, Tensor } from '../graph/tensor.ts';
import type { Batched } from './batch.ts';
import type { TracedGraph } from './graph.ts';
import { ARENA_ALIGNMENT } from './neighbours.ts';
import { fixedPlaces, type Block, type Place } from './place.ts';
import { loadsOf, readsOf, spaceOf, takes, type Step } from './step.ts';

export interface MemoryPlan {
  readonly places: ReadonlyMap<Tensor, Place>;
  /** Per step: output → load whose memory it takes over. */
  readonly inPlace: readonly ReadonlyMap<Tensor, Tensor>[];
  readonly blocks: readonly Block[];
  readonly arenaBytes: number;
  /** Bytes in use while each step runs. */
  readonly timeline: readonly number[];
}

export function planMemory(graph: TracedGraph, { steps, bundles }: Batched): MemoryPlan {
  const lastUse = lastUses(graph, steps);
  const places = fixedPlaces(graph, steps);
  const blocks: Block[] = [];
  const inPlace = steps.map((step, time) => {
    const taken = new Map<Tensor, Tensor>();
    for (const output of step.outputs) {
      const bundle = bundles.get(output);
      const found = bundle ? undefined : reusable(graph, step, output, time, { places, lastUse, taken });
      // Taking over one of a bundle would hold all of it.
      const source = found && !bundles.has(found) ? found : undefined;
      if (source) taken.set(output, source);
      if (places.has(output)) continue;
      const end = Math.max(...(bundle ?? [output]).map((tensor) => lastUse.get(tensor) ?? time));
      const held = source && places.get(source);
      if (held?.kind === 'arena') {
        held.block.end = Math.max(held.block.end, end);
        places.set(output, held);
      } else {
        const bytes = Math.ceil((output.size * BYTES[output.dtype]) / ARENA_ALIGNMENT) * ARENA_ALIGNMENT;
        const tensors = bundle ?? [output];
        const block: Block = { name: output.toString(), bytes: bytes * tensors.length, start: time, end, offset: 0 };
        blocks.push(block);
        tensors.forEach((tensor, i) => places.set(tensor, { kind: 'arena', block, offset: i * bytes }));
      }
    }
    return taken;
  });
  const timeline = timelineOf(blocks, steps.length);
  return { places, inPlace, blocks, arenaBytes: assignOffsets(blocks, Math.max(0, ...timeline)), timeline };
}

/** Step index of the last reader of each root; kept tensors outlive all steps. */
function lastUses(graph: TracedGraph, steps: readonly Step[]): Map<Tensor, number> {
  const last = new Map<Tensor, number>();
  steps.forEach((step, time) => {
    for (const root of readsOf(graph, step)) last.set(root, time);
  });
  for (const root of graph.kept()) last.set(root, steps.length);
  return last;
}

interface PlanState {
  readonly places: ReadonlyMap<Tensor, Place>;
  readonly lastUse: ReadonlyMap<Tensor, number>;
  readonly taken: ReadonlyMap<Tensor, Tensor>;
}

/** What `step` reads that `output` may overwrite element by element. */
function reusable(graph: TracedGraph, step: Step, output: Tensor, time: number, state: PlanState): Tensor | undefined {
  if (step.batch) return undefined;
  const lowering = step.anchor?.op.lowering;
  if (lowering?.kind === 'kernel' && lowering.overwrites !== undefined && output === step.outputs[0]) {
    const root = graph.root((step.anchor as Node).inputs[lowering.overwrites] as Tensor);
    const [from, to] = [state.places.get(root), state.places.get(output)];
    const free = from?.kind === 'arena' && !to && state.lastUse.get(root) === time;
    return free || isSameRange(from, to) ? root : undefined;
  }
  if ((step.anchor && takes(step.anchor) !== 'epilogue') || output.size !== spaceOf(step)) return undefined;
  const destination = state.places.get(output);
  const claimed = new Set(state.taken.values());
  return loadsOf(graph, step).find(({ root, inner, count }) => {
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
 */
function assignOffsets(blocks: readonly Block[], least: number): number {
  let order = [...blocks].sort((a, b) => b.bytes - a.bytes || a.start - b.start);
  let best = { order, bytes: placeGreedily(order) };
  for (let attempt = 0; attempt < ATTEMPTS && best.bytes > least; attempt++) {
    const highest = order.reduce((a, b) => (b.offset + b.bytes > a.offset + a.bytes ? b : a));
    order = [highest, ...order.filter((block) => block !== highest)];
    const bytes = placeGreedily(order);
    if (bytes < best.bytes) best = { order, bytes };
  }
  return placeGreedily(best.order);
}

/** Each block in turn at the lowest offset that is free for its whole life. @returns bytes needed */
function placeGreedily(blocks: readonly Block[]): number {
  const placed: Block[] = [];
  for (const block of blocks) {
    const rivals = placed
      .filter((p) => p.start <= block.end && block.start <= p.end)
      .sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const rival of rivals) {
      if (offset + block.bytes <= rival.offset) break;
      offset = Math.max(offset, rival.offset + rival.bytes);
    }
    block.offset = offset;
    placed.push(block);
  }
  return placed.reduce((peak, b) => Math.max(peak, b.offset + b.bytes), 0);
}

function timelineOf(blocks: readonly Block[], steps: number): number[] {
  return Array.from({ length: steps }, (_, time) =>
    blocks.reduce((sum, b) => sum + (b.start <= time && time <= b.end ? b.bytes : 0), 0),
  );
}
