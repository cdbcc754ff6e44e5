/** Room: engine/compile. A fusion group: what becomes one kernel, and what it reads from memory. */
import { broadcastPattern, type BroadcastPattern } from '../graph/shape.ts';
import type { Node, Tensor } from '../graph/tensor.ts';
import { isProduct, operandsOfProduct, randomOfProduct } from '../ops/matmul.ts';
import { packOf, type TracedGraph } from './graph.ts';

/** One kernel: an anchor (product, reduction or any other kernel), elementwise nodes around it, or elementwise nodes alone. */
export interface FusionGroup {
  readonly anchor?: Node;
  /** Elementwise nodes in execution order. */
  body: Node[];
  /** Root tensors written to memory. */
  outputs: Tensor[];
  /** Where it runs several groups at once; `outputs` are those of all. */
  readonly batch?: Batch;
}

/** Fusion groups that one kernel runs; the first of them stands for all. */
export interface Batch {
  readonly members: readonly FusionGroup[];
  /** Per operand, then per load: whether each member has its own, side by side. */
  readonly each: readonly boolean[];
}

/** A tensor read by the elementwise part of a group. */
export interface Load extends BroadcastPattern {
  readonly root: Tensor;
}

/** All its nodes, the anchor first. */
export function nodesOf({ anchor, body }: FusionGroup): Node[] {
  return anchor ? [anchor, ...body] : [...body];
}

/** Elements of the space the elementwise part of a group runs over. */
export function spaceOf(group: FusionGroup): number {
  if (group.anchor && takes(group.anchor) === 'prologue') return group.anchor.inputs[0]!.size;
  return (group.body.at(-1) ?? group.anchor!).outputs[0]!.size;
}

export function takes(node: Node): 'epilogue' | 'prologue' | undefined {
  return node.op.lowering.kind === 'anchor' ? node.op.lowering.takes : undefined;
}

/** What the elementwise part, and dropout within a product, read from memory, in first-use order. The anchor's own result is no load. */
export function loadsOf(graph: TracedGraph, group: FusionGroup): Load[] {
  const inside = new Set(group.body.flatMap((node) => node.outputs));
  const epilogueOf = group.anchor && takes(group.anchor) === 'epilogue' ? group.anchor : undefined;
  const loads: Load[] = [];
  const read = (input: Tensor, target: Tensor): void => {
    const root = graph.root(input);
    if (inside.has(root) || root.node === epilogueOf) return;
    const pattern = target.size === 1 ? { inner: 1, count: 1 } : broadcastPattern(input.shape, target.shape);
    const same = (l: Load): boolean => l.root === root && l.inner === pattern.inner && l.count === pattern.count;
    if (!loads.some(same)) loads.push({ root, ...pattern });
  };
  for (const node of group.body) for (const input of node.inputs) read(input, node.outputs[0]!);
  if (group.anchor && takes(group.anchor) === 'prologue') {
    const [x] = group.anchor.inputs as [Tensor];
    read(x, x);
  }
  if (isProduct(group.anchor)) for (const number of randomOfProduct(group.anchor)) read(number, number);
  return loads;
}

/** Root tensors bound by the anchor itself. */
export function operandsOf(graph: TracedGraph, group: FusionGroup): Tensor[] {
  if (!group.anchor || takes(group.anchor) === 'prologue') return [];
  const { anchor } = group;
  return (isProduct(anchor) ? operandsOfProduct(anchor) : anchor.inputs).map((input) => graph.root(input));
}

/** Root tensors that the kernel of a group reads: what its elementwise part loads, then what its anchor binds. */
export function boundBy(graph: TracedGraph, group: FusionGroup): Tensor[] {
  return [...loadsOf(graph, group).map(({ root }) => root), ...operandsOf(graph, group)];
}

/** How many products, whose operands follow each other, a group sums up. */
export function partsOf({ anchor }: FusionGroup): number {
  return isProduct(anchor) ? (anchor.attrs.parts ?? 1) : 1;
}

/** Root tensors a group reads from memory, packed tensors resolved to their parts. */
export function readsOf(graph: TracedGraph, group: FusionGroup): Tensor[] {
  const members = group.batch?.members ?? [group];
  const direct = members.flatMap((member) => boundBy(graph, member));
  return direct.flatMap((root) => [root, ...packedIn(graph, root)]);
}

/** The parts of a packed tensor, of others none. */
export function packedIn(graph: TracedGraph, root: Tensor): Tensor[] {
  return packOf(root) ? root.node.inputs.map((part) => graph.root(part)) : [];
}
