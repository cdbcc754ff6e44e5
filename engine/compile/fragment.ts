/** Room: engine/compile. Writes the elementwise part of a group as a kernel fragment. */
import type { Fragment, FragmentInput } from '../../kernels/fragment.ts';
import type { Param } from '../../kernels/kernel.ts';
import type { Tensor } from '../graph/tensor.ts';
import { broadcastPattern } from '../graph/shape.ts';
import type { TracedGraph } from './graph.ts';
import { FIRST_TOKEN_INPUT, RANDOM_INPUTS } from '../../kernels/matmul.ts';
import { isProduct, randomOfProduct } from '../ops/matmul.ts';
import { loadsOf, takes, type Load, type FusionGroup } from './fusion-group.ts';

/** What a product with dropout draws from, in the order of its inputs. */
const DRAWN_FROM = [...RANDOM_INPUTS, FIRST_TOKEN_INPUT];

/** A fragment and the tensors its inputs and outputs stand for, in order. */
export interface BoundFragment {
  readonly fragment: Fragment;
  readonly loads: readonly Load[];
  readonly outputs: readonly Tensor[];
}

/**
 * @param inPlace root tensor of an output → root tensor of the load whose memory it takes over
 */
export function fragmentOf(
  graph: TracedGraph,
  group: FusionGroup,
  inPlace: ReadonlyMap<Tensor, Tensor>,
): BoundFragment {
  const loads = loadsOf(graph, group);
  const names = new Map<Tensor, string>();
  if (group.anchor && takes(group.anchor) === 'epilogue') names.set(group.anchor.outputs[0]!, 'acc');
  const random = isProduct(group.anchor) ? randomOfProduct(group.anchor).map((input) => graph.root(input)) : [];
  const inputs = loads.map(
    ({ root, inner, count }, i): FragmentInput =>
      DRAWN_FROM[random.indexOf(root)] ?? { name: `x${i}`, dtype: root.dtype, inner, count },
  );
  const nameOf = (input: Tensor, target: Tensor): string => {
    const root = graph.root(input);
    const known = names.get(root);
    if (known !== undefined) return known;
    const { inner, count } = target.size === 1 ? { inner: 1, count: 1 } : broadcastPattern(input.shape, target.shape);
    return inputs[loads.findIndex((l) => l.root === root && l.inner === inner && l.count === count)]!.name;
  };
  const params: Param[] = [];
  const body = group.body.map((node, i) => {
    const output = node.outputs[0]!;
    if (node.op.lowering.kind !== 'elementwise') throw new Error(`${node.op.name} is not elementwise`);
    const args = node.inputs.map((input) => nameOf(input, output));
    const { text, params: own = [] } = node.op.lowering.expression(args, node, String(i));
    params.push(...own);
    names.set(output, `v${i}`);
    return `let v${i} = ${text};`;
  });
  const prologue = group.anchor && takes(group.anchor) === 'prologue' ? group.anchor.inputs[0]! : undefined;
  const outputs = prologue ? [graph.root(prologue)] : group.outputs;
  return {
    loads,
    outputs,
    fragment: {
      inputs,
      params,
      body,
      outputs: outputs.map((output, i) => {
        const source = inPlace.get(output);
        const input = source && inputs[loads.findIndex((load) => load.root === source)];
        const value = prologue ? nameOf(prologue, prologue) : names.get(output)!;
        return { name: `y${i}`, dtype: output.dtype, value, inPlaceOf: input?.name };
      }),
    },
  };
}
