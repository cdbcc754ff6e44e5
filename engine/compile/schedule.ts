/** Room: engine/compile. Orders groups so that each runs after what it reads, and writes to resident memory after its readers. */
import type { Storage } from '../device/memory.ts';
import { residentOf } from '../ops/leaf.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { TracedGraph } from './graph.ts';
import { nodesOf, packedIn, readsOf, type FusionGroup } from './fusion-group.ts';

function overlap(a: Storage, b: Storage): boolean {
  return a.buffer === b.buffer && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

/**
 * Fusion groups in execution order: as recorded, as far as dependencies allow, but what only takes up memory until much later runs then.
 * Undefined where updates need each other's old values, so that none can be written in place first.
 */
export function schedule(graph: TracedGraph, groups: readonly FusionGroup[]): FusionGroup[] | undefined {
  const before = dependencies(graph, groups);
  const rank = new Map(groups.map((group) => [group, lastRank(graph, group)]));
  const waiting = [...groups].sort((a, b) => rank.get(a)! - rank.get(b)!);
  const done = new Set<FusionGroup>();
  const order: FusionGroup[] = [];
  while (waiting.length > 0) {
    const next = waiting.findIndex((group) => [...(before.get(group) ?? [])].every((s) => done.has(s)));
    if (next === -1) return undefined;
    const [group] = waiting.splice(next, 1) as [FusionGroup];
    done.add(group);
    order.push(group);
  }
  return postpone(graph, order, before);
}

/**
 * Moves each group to just before the first that waits for it, where that holds fewer bytes in between: its results come later,
 * what it is the last to read stays longer.
 */
function postpone(
  graph: TracedGraph,
  order: readonly FusionGroup[],
  before: ReadonlyMap<FusionGroup, ReadonlySet<FusionGroup>>,
): FusionGroup[] {
  const moved = [...order];
  const reads = new Map(order.map((group) => [group, new Set(readsOf(graph, group))]));
  const fixed = new Set([...graph.kept()].flatMap((root) => [root, ...packedIn(graph, root)]));
  const packed = order.flatMap((group) => readsOf(graph, group).flatMap((root) => packedIn(graph, root)));
  for (const part of packed) fixed.add(part);
  const bytesOf = (root: Tensor): number => (fixed.has(root) || root.node.inputs.length === 0 ? 0 : root.bytes);
  for (const group of [...order].reverse()) {
    const at = moved.indexOf(group);
    const wait = moved.findIndex((other) => before.get(other)?.has(group)) - 1 - at;
    if (wait <= 0) continue;
    const passed = moved.slice(at + 1, at + 1 + wait);
    const later = moved.slice(at + 1 + wait);
    const held = [...(reads.get(group) ?? [])].reduce((sum, root) => {
      if (later.some((other) => reads.get(other)?.has(root))) return sum;
      return sum + bytesOf(root) * (wait - 1 - passed.findLastIndex((other) => reads.get(other)?.has(root)));
    }, 0);
    const saved = group.outputs.reduce((sum, root) => sum + bytesOf(root), 0) * wait;
    if (saved <= held) continue;
    moved.splice(at, 1);
    moved.splice(at + wait, 0, group);
  }
  return moved;
}

function lastRank(graph: TracedGraph, group: FusionGroup): number {
  const members = group.batch?.members ?? [group];
  return Math.max(...members.flatMap(nodesOf).map((node) => graph.rank(node)));
}

function dependencies(graph: TracedGraph, groups: readonly FusionGroup[]): Map<FusionGroup, Set<FusionGroup>> {
  const producer = new Map<Tensor, FusionGroup>();
  for (const group of groups) for (const output of group.outputs) producer.set(output, group);
  const reads = new Map(groups.map((group) => [group, readsOf(graph, group)]));
  const before = new Map<FusionGroup, Set<FusionGroup>>();
  for (const [group, roots] of reads) {
    before.set(group, new Set(roots.flatMap((root) => producer.get(root) ?? []).filter((s) => s !== group)));
  }
  for (const { target, value } of graph.results.updates) {
    const writer = producer.get(graph.root(value));
    if (!writer) continue;
    for (const [group, roots] of reads) {
      const old = roots.some((root) => {
        const resident = residentOf(root);
        return resident !== undefined && overlap(resident.storage, target.storage);
      });
      if (old && group !== writer) before.get(writer)?.add(group);
    }
  }
  return before;
}
