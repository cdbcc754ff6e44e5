/**
 * Room: engine/compile. Rewrite: a sum of matrix products becomes one product kernel with several terms. It turns
 * x·Wᵀ + t·Bᵀ (a linear layer with LoRA) and dy·W + dropout(dt·A) (its input gradient) into one pass each.
 */
import { add, dropoutOf } from '../ops/elementwise.ts';
import {
  isProduct,
  joinTerms,
  kindOfProduct,
  matmulOp,
  operandsOfProduct,
  randomOfProduct,
  withDrop,
  type ProductNode,
} from '../ops/matmul.ts';
import type { Storage } from '../device/memory.ts';
import { reshape, residentOf } from '../ops/leaf.ts';
import { emit, type Node, type Tensor } from '../graph/tensor.ts';
import { packOf, type TracedGraph } from './graph.ts';
import { areContiguous, fitBinding, fitsArena } from './contiguous.ts';

/** Terms of one kernel. More would unroll the kernel's inner loop more often: shader compile time grows, speed does not. */
const MAX_TERMS = 2;

const addOp = add(0, 0).node.op;

/**
 * Merges sums of products in place.
 * @param mayDrop whether dropout of a product may be drawn within the sum
 * @param limit bytes of the largest binding
 */
export function fuseMatmulSums(graph: TracedGraph, mayDrop: boolean, limit: number): void {
  const kept = graph.kept();
  const inner = new Set<Node>();
  const taken = new Set<Tensor>();
  for (const node of [...graph.nodes].reverse()) {
    if (node.op !== addOp || inner.has(node)) continue;
    const leaves = flatten(graph, node, kept, inner);
    const found = leaves.map((leaf) => productOf(graph, leaf, node, kept, mayDrop));
    const products = found.filter((product) => product !== undefined);
    if (products.length < 2) continue;
    const gathered = gather(graph, products, { kept, taken, limit });
    const single = products.filter((product) => !gathered.flat().includes(product));
    const sums = chunk(gathered, MAX_TERMS).map((groups) => sumParts(graph, groups));
    const merged = [...sums, ...chunk(single, MAX_TERMS).map((group) => combine(graph, group))];
    const others = leaves.filter((_, i) => !found[i]);
    const output = node.outputs[0]!;
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

/** An addend: a product of one term that nobody else reads. */
interface Product {
  readonly leaf: Tensor;
  /** The product, with its dropout if the addend is one of it. */
  readonly node: ProductNode;
  /** Where it stands in the order. */
  readonly at: Node;
}

function productOf(
  graph: TracedGraph,
  leaf: Tensor,
  sum: Node,
  kept: Set<Tensor>,
  mayDrop: boolean,
): Product | undefined {
  const { size } = sum.outputs[0]!;
  const isFree = (root: Tensor): boolean => root.size === size && graph.users(root).length === 1 && !kept.has(root);
  const root = graph.root(leaf);
  const dropout = mayDrop ? dropoutOf(root) : undefined;
  const inner = dropout ? graph.root(dropout.x) : root;
  const { node } = inner;
  if (!isFree(root) || !isFree(inner) || !isProduct(node) || node.attrs.terms.length > 1) return undefined;
  if (!dropout) return { leaf, node, at: node };
  if (randomOfProduct(node).length > 0) return undefined;
  const { rate, stream, random } = dropout;
  const drop = { of: 'product', rate, streams: [stream] } as const;
  const dropped = withDrop(node.attrs, operandsOfProduct(node), drop, random).node;
  return isProduct(dropped) ? { leaf, node: dropped, at: root.node } : undefined;
}

/** Seed and step of some products: a kernel binds one of each. Undefined where they differ. */
function commonRandom(graph: TracedGraph, nodes: readonly ProductNode[]): readonly Tensor[] | undefined {
  const drawing = nodes.map(randomOfProduct).filter((random) => random.length > 0);
  const [first = []] = drawing;
  const alike = drawing.every((random) => random.every((t, i) => graph.root(t) === graph.root(first[i]!)));
  return alike ? first : undefined;
}

function chunk<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** One product node with the terms of several; they must agree on m and n, and on what they draw, else each stands alone. */
function combine(graph: TracedGraph, products: readonly Product[]): Tensor {
  const [first] = products as [Product];
  if (products.length === 1) return first.leaf;
  const nodes = products.map(({ node }) => node);
  const { m, n } = first.node.attrs;
  const random = commonRandom(graph, nodes);
  if (!random || !nodes.every(({ attrs }) => attrs.m === m && attrs.n === n))
    return products.map(({ leaf }) => leaf).reduce((a, b) => linkedAdd(graph, a, b, first.at));
  const terms = nodes.flatMap(({ attrs }) => attrs.terms);
  const sum = emit(matmulOp, [...nodes.flatMap(operandsOfProduct), ...random], { m, n, terms }, [m, n]);
  const all = products.map(({ at }) => at);
  graph.standIn(sum.node, all[all.length - 1]!, all);
  return sum;
}

/** What bounds the gathering of products. */
interface Gathering {
  readonly kept: ReadonlySet<Tensor>;
  /** Left operands that have their place already. */
  readonly taken: Set<Tensor>;
  /** Bytes of the largest binding. */
  readonly limit: number;
}

/**
 * Groups of products of one shape whose right operands lie side by side in resident memory, in that order, and whose left ones can be
 * put side by side. Groups that are given together have as many members.
 */
function gather(graph: TracedGraph, products: readonly Product[], { kept, taken, limit }: Gathering): Product[][] {
  if (
    !commonRandom(
      graph,
      products.map(({ node }) => node),
    )
  )
    return [];
  const operandsOf = ({ node }: Product): Tensor[] => operandsOfProduct(node).map((input) => graph.root(input));
  const keyOf = (product: Product): string =>
    JSON.stringify([kindOfProduct(product.node.attrs), operandsOf(product).map(({ dtype }) => dtype)]);
  const storageOf = (product: Product): Storage | undefined => residentOf(operandsOf(product)[1]!)?.storage;
  const isMovable = (root: Tensor): boolean =>
    root.node.inputs.length > 0 && fitsArena(root) && !kept.has(root) && !taken.has(root) && !isPacked(graph, root);
  const groups = [...new Set(products.map(keyOf))]
    .map((key) => products.filter((product) => keyOf(product) === key))
    .map((group) => group.sort((a, b) => (storageOf(a)?.offset ?? 0) - (storageOf(b)?.offset ?? 0)))
    .filter((group) => group.length > 1 && areContiguous(group.map(storageOf)));
  const fitting = groups.filter((group) => {
    const [left, right] = [0, 1].map((i) => group.map((product) => operandsOf(product)[i]!)) as [Tensor[], Tensor[]];
    if (!fitBinding(left, limit) || !fitBinding(right, limit)) return false;
    if (new Set(left).size !== left.length || !left.every(isMovable)) return false;
    for (const root of left) taken.add(root);
    return true;
  });
  return fitting.filter((group) => group.length === fitting[0]!.length);
}

function isPacked(graph: TracedGraph, root: Tensor): boolean {
  return graph.users(root).some((user) => packOf(user.outputs[0]!));
}

/** One product node with a term per group, summed over the members of the groups. */
function sumParts(graph: TracedGraph, groups: readonly (readonly Product[])[]): Tensor {
  const nodes = groups.map((group) => group.map(({ node }) => node));
  const [first] = nodes as [ProductNode[]];
  const { m, n } = first[0]!.attrs;
  const terms = nodes.map((group) => joinTerms(group, 0));
  const operands = first.flatMap((_, part) => nodes.flatMap((group) => operandsOfProduct(group[part]!)));
  const random =
    nodes
      .flat()
      .map(randomOfProduct)
      .find((one) => one.length > 0) ?? [];
  const sum = emit(matmulOp, [...operands, ...random], { m, n, terms, parts: first.length }, [m, n]);
  const all = groups.flat().map(({ at }) => at);
  const last = all.reduce((a, b) => (graph.rank(b) > graph.rank(a) ? b : a));
  graph.standIn(sum.node, last, all);
  return sum;
}
