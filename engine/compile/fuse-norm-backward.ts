/**
 * Room: engine/compile. Rewrite: a normalisation that is computed again for the backward pass comes out of the kernel that computes its
 * input's gradient: both need the same statistics of the same rows.
 */
import { isLayerNorm, isLayerNormBackward, layerNormBackwardAgain } from '../ops/layernorm.ts';
import type { Node } from '../graph/tensor.ts';
import type { TracedGraph } from './graph.ts';

/** Merges them in place, where the gradient does not wait for the normalised values. */
export function fuseNormBackward(graph: TracedGraph): void {
  const again = graph.nodes.filter((node) => isLayerNorm(node) && graph.isRepeat(node));
  for (const backward of graph.nodes.filter(isLayerNormBackward)) {
    const sameRows = (norm: Node): boolean =>
      [0, 1].every((i) => graph.root(norm.inputs[i]!) === graph.root(backward.inputs[i]!));
    const norm = again.find((node) => sameRows(node) && !graph.isBehind(node, backward));
    if (!norm) continue;
    const [dx, y] = layerNormBackwardAgain(norm, backward);
    graph.standIn(dx.node, backward, [backward, norm]);
    graph.replace(backward.outputs[0]!, dx);
    graph.replace(norm.outputs[0]!, y);
    graph.refresh();
  }
}
