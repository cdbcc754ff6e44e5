/**
 * Room: engine/compile. Rewrite: a kernel that would bind the same memory twice gets a copy for the second binding, because
 * WebGPU forbids two writable bindings of one range.
 */
import { broadcastPattern } from '../graph/shape.ts';
import { emitMany, type Node, type Tensor } from '../graph/tensor.ts';
import { identity } from '../ops/elementwise.ts';
import type { TracedGraph } from './graph.ts';

/** Copies repeated operands in place. */
export function dedupeBindings(graph: TracedGraph): void {
  for (const node of graph.nodes) {
    const { kind } = node.op.lowering;
    if (kind === 'leaf' || kind === 'view') continue;
    const bound = new Set<string>();
    const seen = new Set<Tensor>();
    const inputs = node.inputs.map((input) => {
      const root = graph.root(input);
      const key = kind === 'elementwise' ? patternKey(input, node) : 'operand';
      const repeated = seen.has(root) && !(kind === 'elementwise' && bound.has(`${root.node.id}/${root.index}/${key}`));
      seen.add(root);
      bound.add(`${root.node.id}/${root.index}/${key}`);
      return repeated ? copyOf(graph, input, node) : input;
    });
    if (inputs.every((input, i) => input === node.inputs[i])) continue;
    const copies = emitMany(node.op, inputs, node.attrs, node.outputs);
    graph.standIn(copies[0]!.node, node);
    node.outputs.forEach((output, i) => graph.replace(output, copies[i]!));
  }
  graph.refresh();
}

function patternKey(input: Tensor, node: Node): string {
  const { inner, count } = broadcastPattern(input.shape, node.outputs[0]!.shape);
  return `${inner}/${count}`;
}

function copyOf(graph: TracedGraph, input: Tensor, reader: Node): Tensor {
  const copy = identity(input);
  graph.standIn(copy.node, reader);
  return copy;
}
