/** Room: engine/compile. Orders steps so that each runs after what it reads, and writes to resident memory after its readers. */
import { BYTES } from '../../kernels/kernel.ts';
import type { Storage } from '../device/memory.ts';
import { residentOf } from '../ops/leaf.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { TracedGraph } from './graph.ts';
import { packedIn, readsOf, type Step } from './step.ts';

function overlap(a: Storage, b: Storage): boolean {
  return a.buffer === b.buffer && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

/**
 * Steps in execution order: as recorded, as far as dependencies allow, but what only takes up memory until much later runs then.
 * Undefined where updates need each other's old values, so that none can be written in place first.
 */
export function schedule(graph: TracedGraph, steps: readonly Step[]): Step[] | undefined {
  const before = dependencies(graph, steps);
  const rank = new Map(steps.map((step) => [step, lastRank(graph, step)]));
  const waiting = [...steps].sort((a, b) => rank.get(a)! - rank.get(b)!);
  const done = new Set<Step>();
  const order: Step[] = [];
  while (waiting.length > 0) {
    const next = waiting.findIndex((step) => [...(before.get(step) ?? [])].every((s) => done.has(s)));
    if (next === -1) return undefined;
    const [step] = waiting.splice(next, 1) as [Step];
    done.add(step);
    order.push(step);
  }
  return postpone(graph, order, before);
}

/**
 * Moves each step to just before the first that waits for it, where that holds fewer bytes in between: its results come later,
 * what it is the last to read stays longer.
 */
function postpone(graph: TracedGraph, order: readonly Step[], before: ReadonlyMap<Step, ReadonlySet<Step>>): Step[] {
  const moved = [...order];
  const reads = new Map(order.map((step) => [step, new Set(readsOf(graph, step))]));
  const fixed = new Set([...graph.kept()].flatMap((root) => [root, ...packedIn(graph, root)]));
  const packed = order.flatMap((step) => readsOf(graph, step).flatMap((root) => packedIn(graph, root)));
  for (const part of packed) fixed.add(part);
  const bytesOf = (root: Tensor): number =>
    fixed.has(root) || root.node.inputs.length === 0 ? 0 : root.size * BYTES[root.dtype];
  for (const step of [...order].reverse()) {
    const at = moved.indexOf(step);
    const wait = moved.findIndex((other) => before.get(other)?.has(step)) - 1 - at;
    if (wait <= 0) continue;
    const passed = moved.slice(at + 1, at + 1 + wait);
    const later = moved.slice(at + 1 + wait);
    const held = [...(reads.get(step) ?? [])].reduce((sum, root) => {
      if (later.some((other) => reads.get(other)?.has(root))) return sum;
      return sum + bytesOf(root) * (wait - 1 - passed.findLastIndex((other) => reads.get(other)?.has(root)));
    }, 0);
    const saved = step.outputs.reduce((sum, root) => sum + bytesOf(root), 0) * wait;
    if (saved <= held) continue;
    moved.splice(at, 1);
    moved.splice(at + wait, 0, step);
  }
  return moved;
}

function lastRank(graph: TracedGraph, step: Step): number {
  const members = step.batch?.members ?? [step];
  const nodes = members.flatMap(({ anchor, body }) => (anchor ? [anchor, ...body] : body));
  return Math.max(...nodes.map((node) => graph.rank(node)));
}

function dependencies(graph: TracedGraph, steps: readonly Step[]): Map<Step, Set<Step>> {
  const producer = new Map<Tensor, Step>();
  for (const step of steps) for (const output of step.outputs) producer.set(output, step);
  const reads = new Map(steps.map((step) => [step, readsOf(graph, step)]));
  const before = new Map<Step, Set<Step>>();
  for (const [step, roots] of reads) {
    before.set(step, new Set(roots.flatMap((root) => producer.get(root) ?? []).filter((s) => s !== step)));
  }
  for (const { target, value } of graph.results.updates) {
    const writer = producer.get(graph.root(value));
    if (!writer) continue;
    for (const [step, roots] of reads) {
      const old = roots.some((root) => {
        const resident = residentOf(root);
        return resident !== undefined && overlap(resident.storage, target.storage);
      });
      if (old && step !== writer) before.get(writer)?.add(step);
    }
  }
  return before;
}
