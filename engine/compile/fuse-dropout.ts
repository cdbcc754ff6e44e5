/**
 * Room: engine/compile. Rewrite: a product with few rows or columns draws the dropout of its other operand where it reads that, so that
 * no dropped copy is stored. It turns dropout(x)·Aᵀ and dhᵀ·dropout(x), LoRA's forward pass and gradient, into products with x.
 */
import { dropoutOf, type Dropout } from '../ops/elementwise.ts';
import { isProduct, operandsOfProduct, randomOfProduct, withDrop } from '../ops/matmul.ts';
import type { Node, Tensor } from '../graph/tensor.ts';
import type { TracedGraph } from './graph.ts';

/** A product with so few rows or columns that its other operand is read about once. */
const THIN = 32;

/** Draws dropouts inside products in place, where all that read them are such products. */
export function fuseDropout(graph: TracedGraph): void {
  const inMemory = new Set([...graph.kept(), ...graph.saved()]);
  const changed = new Set<Node>();
  for (const node of graph.nodes) {
    const output = node.outputs[0]!;
    const dropout = dropoutOf(output);
    if (!dropout || inMemory.has(output)) continue;
    const users = graph.users(output);
    const places = users.map((user) => (changed.has(user) ? undefined : placeOf(graph, user, output)));
    users.forEach((user, i) => {
      if (places.includes(undefined)) return;
      changed.add(user);
      drawIn(graph, user, places[i]!, dropout);
    });
  }
  graph.refresh();
}

/** As which operand a thin product of one term reads `dropped`, if it does. */
function placeOf(graph: TracedGraph, user: Node, dropped: Tensor): 'a' | 'b' | undefined {
  if (!isProduct(user) || user.attrs.terms.length > 1 || randomOfProduct(user).length > 0) return undefined;
  const [a, b] = operandsOfProduct(user).map((operand) => graph.root(operand) === dropped);
  if (a && b) return undefined;
  if (a) return user.attrs.n <= THIN ? 'a' : undefined;
  return user.attrs.m <= THIN ? 'b' : undefined;
}

function drawIn(graph: TracedGraph, user: Node, of: 'a' | 'b', { x, rate, stream, random }: Dropout): void {
  if (!isProduct(user)) return;
  const operands = operandsOfProduct(user).map((operand, i) => ((of === 'a') === (i === 0) ? x : operand));
  const product = withDrop(user.attrs, operands, { of, rate, streams: [stream] }, random);
  graph.standIn(product.node, user);
  graph.replace(user.outputs[0]!, product);
}
