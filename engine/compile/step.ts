/** Room: engine/compile. A step, which becomes one kernel, and what it reads from memory. */
import { broadcastPattern, type BroadcastPattern } from '../graph/shape.ts';
import type { Node, Tensor } from '../graph/tensor.ts';
import { isProduct, operandsOfProduct, randomOfProduct } from '../ops/matmul.ts';
import { packOf, type TracedGraph } from './graph.ts';

/** One kernel: an anchor (product, reduction or any other kernel), elementwise nodes around it, or elementwise nodes alone. */
export interface Step {
  readonly anchor?: Node;
  /** Elementwise nodes in execution order. */
  body: Node[];
  /** Root tensors written to memory. */
  outputs: Tensor[];
  /** Where it runs several steps at once; `outputs` are those of all. */
  readonly batch?: Batch;
}

/** Steps that one kernel runs; the first of them stands for all. */
export interface Batch {
  readonly members: readonly Step[];
  /** Per operand, then per load: whether each member has its own, side by side. */
  readonly each: readonly boolean[];
}

/** A tensor read by the elementwise part of a step. */
export interface Load extends BroadcastPattern {
  readonly root: Tensor;
}

/** Elements of the space the elementwise part of a step runs over. */
export function spaceOf(step: Step): number {
  if (step.anchor && takes(step.anchor) === 'prologue') return (step.anchor.inputs[0] as Tensor).size;
  return ((step.body[step.body.length - 1] ?? step.anchor)?.outputs[0] as Tensor).size;
}

export function takes(node: Node): 'epilogue' | 'prologue' | undefined {
  return node.op.lowering.kind === 'anchor' ? node.op.lowering.takes : undefined;
}

/** What the elementwise part, and dropout within a product, read from memory, in first-use order. The anchor's own result is no load. */
export function loadsOf(graph: TracedGraph, step: Step): Load[] {
  const inside = new Set(step.body.flatMap((node) => node.outputs));
  const epilogueOf = step.anchor && takes(step.anchor) === 'epilogue' ? step.anchor : undefined;
  const loads: Load[] = [];
  const read = (input: Tensor, target: Tensor): void => {
    const root = graph.root(input);
    if (inside.has(root) || root.node === epilogueOf) return;
    const pattern = target.size === 1 ? { inner: 1, count: 1 } : broadcastPattern(input.shape, target.shape);
    const same = (l: Load): boolean => l.root === root && l.inner === pattern.inner && l.count === pattern.count;
    if (!loads.some(same)) loads.push({ root, ...pattern });
  };
  for (const node of step.body) for (const input of node.inputs) read(input, node.outputs[0] as Tensor);
  if (step.anchor && takes(step.anchor) === 'prologue') {
    const [x] = step.anchor.inputs as [Tensor];
    read(x, x);
  }
  if (isProduct(step.anchor)) for (const number of randomOfProduct(step.anchor)) read(number, number);
  return loads;
}

/** Root tensors bound by the anchor itself. */
export function operandsOf(graph: TracedGraph, step: Step): Tensor[] {
  if (!step.anchor || takes(step.anchor) === 'prologue') return [];
  const { anchor } = step;
  return (isProduct(anchor) ? operandsOfProduct(anchor) : anchor.inputs).map((input) => graph.root(input));
}

/** How many products, whose operands follow each other, a step sums up. */
export function partsOf({ anchor }: Step): number {
  return isProduct(anchor) ? (anchor.attrs.parts ?? 1) : 1;
}

/** Root tensors a step reads from memory, packed tensors resolved to their parts. */
export function readsOf(graph: TracedGraph, step: Step): Tensor[] {
  const members = step.batch?.members ?? [step];
  const direct = members.flatMap((s) => [...loadsOf(graph, s).map((load) => load.root), ...operandsOf(graph, s)]);
  return direct.flatMap((root) => [root, ...packedIn(graph, root)]);
}

/** The parts of a packed tensor, of others none. */
export function packedIn(graph: TracedGraph, root: Tensor): Tensor[] {
  return packOf(root) ? root.node.inputs.map((part) => graph.root(part)) : [];
}
