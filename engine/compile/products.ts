/**
 * Room: engine/compile. Rewrite: a sum of matrix products becomes one product kernel with several terms. It turns
 * x·Wᵀ + t·Bᵀ (a linear layer with LoRA) and dy·W + dt·A (its input gradient) into one pass each.
 */
import { add } from '../ops/elementwise.ts';
import { matmulOp, type MatmulAttrs } from '../ops/matmul.ts';
import type { Storage } from '../device/memory.ts';
import { reshape, residentOf } from '../ops/leaf.ts';
import { emit, type Node, type Op, type Tensor } from '../graph/tensor.ts';
import { packOf, type TracedGraph } from './graph.ts';
import { areNeighbours, fitsArena } from './neighbours.ts';

/** Terms of one kernel. More would unroll the kernel's inner loop more often: shader compile time grows, speed does not. */
const MAX_TERMS = 2;

const addOp = add(0, 0).node.op;

/** Merges sums of products in place. */
export function mergeProducts(graph: TracedGraph): void {
  const kept = graph.kept();
  const inner = new Set<Node>();
  const taken = new Set<Tensor>();
  for (const node of [...graph.nodes].reverse()) {
    if (node.op !== addOp || inner.has(node)) continue;
    const leaves = flatten(graph, node, kept, inner);
    const products = leaves.filter((leaf) => isSingleUseProduct(graph, leaf, node, kept));
    if (products.length < 2) continue;
    const gathered = gather(graph, products, kept, taken);
    const single = products.filter((leaf) => !gathered.flat().includes(leaf));
    const sums = chunk(gathered, MAX_TERMS).map((groups) => sumParts(graph, groups));
    const merged = [...sums, ...chunk(single, MAX_TERMS).map((group) => combine(graph, group))];
    const others = leaves.filter((leaf) => !products.includes(leaf));
    const output = node.outputs[0] as Tensor;
    const addends = [...merged.map((t) => reshape(t, output.shape)), ...others];
    const total = addends.reduce((sum, t) => linkedAdd(graph, sum, t, node));
    graph.replace(output, total);
  }
  graph.refresh();
}

function linkedAdd(graph: TracedGraph, a: Tensor, b: Tensor, original: Node): Tensor {
  const sum = add(a, b);
  graph.standIn(sum.node, original);
  return sum;
}

/** Addends of a tree of additions whose partial sums nobody else reads. */
function flatten(graph: TracedGraph, node: Node, kept: Set<Tensor>, inner: Set<Node>): Tensor[] {
  return node.inputs.flatMap((input) => {
    const root = graph.root(input);
    const mergeable = root.node.op === addOp && root.size === node.outputs[0]?.size && graph.users(root).length === 1;
    if (!mergeable || kept.has(root)) return [input];
    inner.add(root.node);
    return flatten(graph, root.node, kept, inner);
  });
}

function isSingleUseProduct(graph: TracedGraph, leaf: Tensor, sum: Node, kept: Set<Tensor>): boolean {
  const root = graph.root(leaf);
  if (root.node.op !== (matmulOp as Op) || root.size !== sum.outputs[0]?.size) return false;
  const attrs = root.node.attrs as MatmulAttrs;
  return attrs.terms.length === 1 && graph.users(root).length === 1 && !kept.has(root);
}

function chunk<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** One product node with the terms of several; they must agree on m and n, else the first stands alone. */
function combine(graph: TracedGraph, leaves: readonly Tensor[]): Tensor {
  const nodes = leaves.map((leaf) => graph.root(leaf).node as Node<MatmulAttrs>);
  const first = nodes[0] as Node<MatmulAttrs>;
  if (nodes.length === 1) return leaves[0] as Tensor;
  const { m, n } = first.attrs;
  const fitting = nodes.every((node) => node.attrs.m === m && node.attrs.n === n);
  if (!fitting) return leaves.reduce((a, b) => linkedAdd(graph, a, b, first as Node));
  const inputs = nodes.flatMap((node) => node.inputs);
  const sum = emit(matmulOp, inputs, { m, n, terms: nodes.flatMap((node) => node.attrs.terms) }, [m, n]);
  graph.standIn(sum.node, nodes[nodes.length - 1] as Node);
  return sum;
}

/**
 * Groups of products of one shape whose right operands lie side by side in resident memory, in that order, and whose left ones can be
 * put side by side. Groups that are given together have as many members.
 * @param taken left operands that have their place already
 */
function gather(graph: TracedGraph, products: readonly Tensor[], kept: Set<Tensor>, taken: Set<Tensor>): Tensor[][] {
  const operandsOf = (leaf: Tensor): Tensor[] => graph.root(leaf).node.inputs.map((input) => graph.root(input));
  const keyOf = (leaf: Tensor): string =>
    JSON.stringify([graph.root(leaf).node.attrs, operandsOf(leaf).map(({ dtype }) => dtype)]);
  const storageOf = (leaf: Tensor): Storage | undefined => residentOf(operandsOf(leaf)[1] as Tensor)?.storage;
  const isMovable = (root: Tensor): boolean =>
    root.node.inputs.length > 0 && fitsArena(root) && !kept.has(root) && !taken.has(root) && !isPacked(graph, root);
  const groups = [...new Set(products.map(keyOf))]
    .map((key) => products.filter((leaf) => keyOf(leaf) === key))
    .map((group) => group.sort((a, b) => (storageOf(a)?.offset ?? 0) - (storageOf(b)?.offset ?? 0)))
    .filter((group) => group.length > 1 && areNeighbours(group.map(storageOf)));
  const fitting = groups.filter((group) => {
    const left = group.map((leaf) => operandsOf(leaf)[0] as Tensor);
    if (new Set(left).size !== left.length || !left.every(isMovable)) return false;
    for (const root of left) taken.add(root);
    return true;
  });
  return fitting.filter((group) => group.length === fitting[0]!.length);
}

function isPacked(graph: TracedGraph, root: Tensor): boolean {
  return graph.users(root).some((user) => packOf(user.outputs[0] as Tensor));
}

/** One product node with a term per group, summed over the members of the groups. */
function sumParts(graph: TracedGraph, groups: readonly (readonly Tensor[])[]): Tensor {
  const nodes = groups.map((group) => group.map((leaf) => graph.root(leaf).node));
  const first = nodes[0] as Node[];
  const attrs = nodes.map(([member]) => member!.attrs as MatmulAttrs);
  const { m, n } = attrs[0]!;
  const terms = attrs.map(({ terms: [term] }) => term!);
  const inputs = first.flatMap((_, part) => nodes.flatMap((group) => group[part]!.inputs));
  const sum = emit(matmulOp, inputs, { m, n, terms, parts: first.length }, [m, n]);
  const latest = nodes.flat().reduce((a, b) => (graph.rank(b) > graph.rank(a) ? b : a));
  graph.standIn(sum.node, latest);
  return sum;
}
