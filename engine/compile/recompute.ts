/**
 * Room: engine/compile. Rewrite: what the backward pass reads of the forward pass is kept until then, or computed again from what is
 * kept. Which of the two is a minimum cut: the fewest bytes from which all the rest can be computed again by permitted ops.
 */
import { BYTES } from '../../kernels/kernel.ts';
import { emitMany, type Node, type Tensor } from '../graph/tensor.ts';
import { reshape } from '../ops/leaf.ts';
import { isCheckpoint, isRecall } from '../ops/recall.ts';
import type { TracedGraph } from './graph.ts';
import { minCut } from './min-cut.ts';

/**
 * What may be computed again in the backward pass: `nothing`; ops that cost about what reading their result costs
 * (`cheap`: elementwise, normalisation, lookups); or whole `layers`, from one `checkpoint` to the next. The last layer's backward pass
 * follows at once, so there only cheap ops are.
 */
export type Recompute = 'nothing' | 'cheap' | 'layers';

/** Tensors smaller than this part of the largest one read are always kept: a dispatch more would free nothing that shows. */
const SMALL = 1 / 64;

/** A forward value read by a node of the backward pass through `mark`. */
interface Reading {
  readonly mark: Tensor;
  readonly value: Tensor;
  readonly reader: Node;
}

/**
 * Decides for every recalled value, in place.
 * @returns root tensors kept for the backward pass
 */
export function recompute(graph: TracedGraph, mode: Recompute): Tensor[] {
  const readings = readingsOf(graph);
  const needed = new Set(readings.map(({ value }) => graph.root(value)));
  const kept = mode === 'nothing' ? needed : keptValues(graph, needed, mode);
  const again = new Recomputation(graph, kept);
  for (const { mark, value, reader } of readings) graph.replace(mark, again.value(value, reader));
  graph.refresh();
  return [...kept];
}

function bytesOf(tensor: Tensor): number {
  return tensor.size * BYTES[tensor.dtype];
}

/** In execution order of the readers. */
function readingsOf(graph: TracedGraph): Reading[] {
  const readings: Reading[] = [];
  for (const reader of graph.nodes) {
    for (const input of reader.inputs) {
      for (const mark of viewsOf(input)) {
        if (isRecall(mark)) readings.push({ mark, value: mark.node.inputs[0] as Tensor, reader });
      }
    }
  }
  return readings;
}

/** A tensor and the ones it is a view of. */
function viewsOf(tensor: Tensor): Tensor[] {
  const { op, inputs } = tensor.node;
  return op.lowering.kind === 'view' && inputs.length === 1 ? [tensor, ...viewsOf(inputs[0] as Tensor)] : [tensor];
}

function keptValues(graph: TracedGraph, needed: ReadonlySet<Tensor>, mode: Recompute): Set<Tensor> {
  const least = SMALL * Math.max(0, ...[...needed].map(bytesOf));
  const borders = mode === 'layers' ? checkpointsOf(graph) : new Set<Tensor>();
  const lastLayer = Math.max(-1, ...[...borders].map((border) => graph.rank(border.node)));
  const mayRepeat = (root: Tensor): boolean => {
    const { op } = root.node;
    const cheap = op.cheap === true || op.lowering.kind === 'elementwise';
    return !borders.has(root) && (cheap || graph.rank(root.node) < lastLayer);
  };
  const large = [...needed].filter((root) => bytesOf(root) >= least);
  const vertices: Tensor[] = [...large];
  const numbers = new Map(vertices.map((root, v) => [root, v]));
  const edges: [number, number][] = [];
  const sources: number[] = [];
  // `vertices` grows while it is walked.
  for (const [v, root] of vertices.entries()) {
    if (!mayRepeat(root)) {
      sources.push(v);
      continue;
    }
    for (const input of root.node.inputs.map((t) => graph.root(t))) {
      if (input.node.inputs.length === 0) continue;
      if (!numbers.has(input)) numbers.set(input, vertices.push(input) - 1);
      edges.push([numbers.get(input) as number, v]);
    }
  }
  const costs = vertices.map(bytesOf);
  const cut = minCut({ costs, edges, sources, sinks: large.map((_, v) => v) });
  const small = [...needed].filter((root) => bytesOf(root) < least);
  return new Set([...small, ...cut.map((v) => vertices[v] as Tensor)]);
}

/** Root tensors that a layer begins with. */
function checkpointsOf(graph: TracedGraph): Set<Tensor> {
  const views = graph.nodes.flatMap((node) => node.inputs.flatMap(viewsOf));
  return new Set(views.filter(isCheckpoint).map((view) => graph.root(view)));
}

/** Second copies of forward nodes, each made where it is first read. */
class Recomputation {
  readonly #graph: TracedGraph;
  readonly #kept: ReadonlySet<Tensor>;
  readonly #copies = new Map<Node, readonly Tensor[]>();

  constructor(graph: TracedGraph, kept: ReadonlySet<Tensor>) {
    this.#graph = graph;
    this.#kept = kept;
  }

  /** `tensor` as `reader` is to read it. */
  value(tensor: Tensor, reader: Node): Tensor {
    const root = this.#graph.root(tensor);
    const isLeaf = root.node.inputs.length === 0;
    const found = isLeaf || this.#kept.has(root) ? root : (this.#copyOf(root.node, reader)[root.index] as Tensor);
    return reshape(found, tensor.shape);
  }

  #copyOf(node: Node, reader: Node): readonly Tensor[] {
    const known = this.#copies.get(node);
    if (known) return known;
    const inputs = node.inputs.map((input) => this.value(input, reader));
    const copies = emitMany(node.op, inputs, node.attrs, node.outputs);
    this.#graph.repeat((copies[0] as Tensor).node, reader);
    this.#copies.set(node, copies);
    return copies;
  }
}
