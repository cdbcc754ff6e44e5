/**
 * Room: engine/compile. Rewrite: what the backward pass reads of the forward pass is kept until then, or computed again from what is
 * kept. Which of the two is a minimum cut: the fewest bytes from which all the rest can be computed again by permitted ops.
 */
import { emitMany, type Node, type Tensor } from '../graph/tensor.ts';
import { reshape } from '../ops/leaf.ts';
import { isCheckpoint, isSavedForBackward, castF16Saturating, castF32 } from '../ops/saved-for-backward.ts';
import type { TracedGraph } from './graph.ts';
import { minCut } from './min-cut.ts';

/**
 * What may be computed again in the backward pass: `nothing`; ops that cost about what reading their result costs
 * (`cheap`: elementwise, normalisation, lookups); or whole `layers`, from one `checkpoint` to the next. The last layer's backward pass
 * follows at once, so there only cheap ops are.
 */
export type Recompute = 'nothing' | 'cheap' | 'layers';

/** How large values are kept: f16 halves them, and rounds what the backward pass sees. */
export type ActivationType = 'f32' | 'f16';

/** Tensors smaller than this part of the largest one read are always kept: a dispatch more would free nothing that shows. */
const SMALL = 1 / 64;

/** A forward value read by a node of the backward pass through `mark`. */
interface Reading {
  readonly mark: Tensor;
  readonly value: Tensor;
  readonly reader: Node;
}

/** Decides for every value saved for the backward pass, in place. */
export function recompute(graph: TracedGraph, mode: Recompute, type: ActivationType): void {
  const readings = readingsOf(graph);
  const needed = new Set(readings.map(({ value }) => graph.root(value)));
  const least = SMALL * Math.max(0, ...[...needed].map(({ bytes }) => bytes));
  const small = [...needed].filter((root) => root.bytes < least);
  const large = [...needed].filter((root) => root.bytes >= least);
  const kept = [...small, ...(mode === 'nothing' ? large : keptValues(graph, large, mode))];
  const stored = new Map(kept.map((root) => [root, type === 'f16' && root.bytes >= least ? halve(graph, root) : root]));
  const again = new Recomputation(graph, stored);
  for (const { mark, value, reader } of readings) graph.replace(mark, again.value(value, reader));
  for (const tensor of stored.values()) graph.save(tensor);
  graph.refresh();
}

/** A value in f16, made as soon as there is the value itself. */
function halve(graph: TracedGraph, root: Tensor): Tensor {
  if (root.dtype !== 'f32') return root;
  const half = castF16Saturating(root);
  graph.standIn(half.node, root.node);
  return half;
}

/** In execution order of the readers. */
function readingsOf(graph: TracedGraph): Reading[] {
  const readings: Reading[] = [];
  for (const reader of graph.nodes) {
    for (const input of reader.inputs) {
      for (const mark of viewsOf(input)) {
        if (isSavedForBackward(mark)) readings.push({ mark, value: mark.node.inputs[0]!, reader });
      }
    }
  }
  return readings;
}

/** A tensor and the ones it is a view of. */
function viewsOf(tensor: Tensor): Tensor[] {
  const { op, inputs } = tensor.node;
  return op.lowering.kind === 'view' && inputs.length === 1 ? [tensor, ...viewsOf(inputs[0]!)] : [tensor];
}

/** The least from which all of `needed` can be computed. */
function keptValues(graph: TracedGraph, needed: readonly Tensor[], mode: Recompute): Tensor[] {
  const borders = mode === 'layers' ? checkpointsOf(graph) : new Set<Tensor>();
  const lastLayer = Math.max(-1, ...[...borders].map((border) => graph.rank(border.node)));
  const mayRepeat = (root: Tensor): boolean => {
    const { op } = root.node;
    const cheap = op.cheap === true || op.lowering.kind === 'elementwise';
    return !borders.has(root) && (cheap || graph.rank(root.node) < lastLayer);
  };
  const vertices: Tensor[] = [...needed];
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
      edges.push([numbers.get(input)!, v]);
    }
  }
  const costs = vertices.map(({ bytes }) => bytes);
  return minCut({ costs, edges, sources, sinks: needed.map((_, v) => v) }).map((v) => vertices[v]!);
}

/** Root tensors that a layer begins with. */
function checkpointsOf(graph: TracedGraph): Set<Tensor> {
  const views = graph.nodes.flatMap((node) => node.inputs.flatMap(viewsOf));
  return new Set(views.filter(isCheckpoint).map((view) => graph.root(view)));
}

/** Second copies of forward nodes, each made where it is first read. */
class Recomputation {
  readonly #graph: TracedGraph;
  /** Root tensors that are kept, and what they are kept as. */
  readonly #stored: ReadonlyMap<Tensor, Tensor>;
  readonly #copies = new Map<Node, readonly Tensor[]>();
  readonly #inF32 = new Map<Tensor, Tensor>();

  constructor(graph: TracedGraph, stored: ReadonlyMap<Tensor, Tensor>) {
    this.#graph = graph;
    this.#stored = stored;
  }

  /** `tensor` as `reader` is to read it, computed no earlier than `when`. */
  value(tensor: Tensor, reader: Node, when: Node = reader): Tensor {
    return reshape(this.#find(this.#graph.root(tensor), reader, when), tensor.shape);
  }

  #find(root: Tensor, reader: Node, when: Node): Tensor {
    if (root.node.inputs.length === 0) return root;
    const stored = this.#stored.get(root);
    if (!stored) return this.#copyOf(root.node, when)[root.index]!;
    return stored === root ? root : this.#castF32(stored, reader, when);
  }

  /** Elementwise readers take f16 in themselves; the others share one copy in f32. */
  #castF32(half: Tensor, reader: Node, when: Node): Tensor {
    const inside = reader.op.lowering.kind === 'elementwise';
    const known = inside ? undefined : this.#inF32.get(half);
    if (known) return known;
    const wide = castF32(half);
    this.#graph.repeat(wide.node, half.node, when);
    if (!inside) this.#inF32.set(half, wide);
    return wide;
  }

  #copyOf(node: Node, when: Node): readonly Tensor[] {
    const known = this.#copies.get(node);
    if (known) return known;
    const inputs = node.inputs.map((input) => this.value(input, node, when));
    const copies = emitMany(node.op, inputs, node.attrs, node.outputs);
    this.#graph.repeat(copies[0]!.node, node, when);
    this.#copies.set(node, copies);
    return copies;
  }
}
