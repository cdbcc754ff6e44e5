/** Room: engine/autograd. Reverse-mode differentiation, graph to graph: only cotangents that somebody asks for are built. */
import { add, constant } from '../ops/elementwise.ts';
import { savedForBackward } from '../ops/saved-for-backward.ts';
import { inScope, markScope } from '../graph/scope.ts';
import { sameShape, showShape } from '../graph/shape.ts';
import type { Cotangents, Node, Tensor } from '../graph/tensor.ts';

/**
 * Gradients of a scalar with respect to tensors of its graph.
 * @param loss shape []
 * @param wrt any tensors, usually `variable.tensor`
 * @returns one gradient per entry of `wrt`, of its shape; undefined where `loss` does not depend on it
 * @throws Error where the path from `wrt` to `loss` passes an op without a vjp
 */
export function gradients(loss: Tensor, wrt: readonly Tensor[]): (Tensor | undefined)[] {
  if (loss.size !== 1) throw new Error(`gradients: the loss must be a scalar, got ${showShape(loss.shape)}`);
  const needed = dependents(loss, wrt);
  const cotangents = new Map<Tensor, Tensor>([[loss, constant(1, loss.shape)]]);
  const order = [...needed].sort((a, b) => b.id - a.id);
  for (const node of order) {
    const incoming = node.outputs.map((output) => cotangents.get(output));
    if (node.inputs.length === 0 || incoming.every((c) => c === undefined)) continue;
    const asked = node.inputs.map((input) => needed.has(input.node));
    if (!asked.includes(true)) continue;
    inScope(markScope('backward', node.scope), () => {
      for (const [i, cotangent] of cotangentsOf(node, incoming, asked).entries()) {
        if (!cotangent || !asked[i]) continue;
        const input = node.inputs[i]!;
        const sofar = cotangents.get(input);
        cotangents.set(input, sofar ? add(sofar, cotangent) : cotangent);
      }
    });
  }
  return wrt.map((tensor) => cotangents.get(tensor));
}

/** What flows back to a node's inputs, as its vjp says. */
function cotangentsOf(node: Node, incoming: Cotangents, asked: readonly boolean[]): Cotangents {
  const { op, inputs } = node;
  if (!op.vjp) throw new Error(`gradients: op ${op.name} is not differentiable`);
  const outgoing = op.vjp(withSavedValues(node), incoming, asked);
  inputs.forEach(({ shape }, i) => {
    const given = asked[i] ? outgoing[i]?.shape : undefined;
    if (given && !sameShape(given, shape))
      throw new Error(`vjp of ${op.name} gave ${showShape(given)} for input ${i} of ${showShape(shape)}`);
  });
  return outgoing;
}

/** A node as its vjp sees it: its values are those of the forward pass, read later. */
function withSavedValues(node: Node): Node {
  return { ...node, inputs: node.inputs.map(savedForBackward), outputs: node.outputs.map(savedForBackward) };
}

/** Nodes on a path from `wrt` to `loss`. */
function dependents(loss: Tensor, wrt: readonly Tensor[]): Set<Node> {
  const targets = new Set(wrt.map((t) => t.node));
  const state = new Map<Node, boolean>();
  const stack: Node[] = [loss.node];
  while (stack.length > 0) {
    const node = stack[stack.length - 1]!;
    const pending = node.inputs.filter((input) => !state.has(input.node));
    if (pending.length > 0 && !state.has(node)) {
      stack.push(...pending.map((input) => input.node));
      continue;
    }
    stack.pop();
    state.set(node, targets.has(node) || node.inputs.some((input) => state.get(input.node) === true));
  }
  return new Set([...state].filter(([, depends]) => depends).map(([node]) => node));
}
