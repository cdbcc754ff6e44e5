/** Room: engine/compile. Turns a planned group into its kernel and the places its bindings stand for. */
import { elementwise } from '../../kernels/elementwise.ts';
import type { Fragment } from '../../kernels/fragment.ts';
import type { DeviceTraits, Kernel } from '../../kernels/kernel.ts';
import type { ConfigSelector, KernelConfigs } from '../../kernels/config.ts';
import type { Tensor } from '../graph/tensor.ts';
import { constantValue } from '../ops/elementwise.ts';
import { asBatch, isProduct, randomOfProduct } from '../ops/matmul.ts';
import { fragmentOf } from './fragment.ts';
import { nodesOf, operandsOf, partsOf, spaceOf, takes, type Batch, type FusionGroup } from './fusion-group.ts';
import type { TracedGraph } from './graph.ts';

/** A kernel and the root tensor behind each of its bindings, in order. */
export interface Dispatch {
  readonly kernel: Kernel;
  readonly bound: readonly Tensor[];
  /** Per binding, where it is a batch: how many tensors side by side it covers, from the one in `bound` on. */
  readonly spans?: readonly number[];
  /** Where there was a choice: what the kernel was chosen from, and what was chosen. */
  readonly configs?: KernelConfigs;
  readonly config?: string;
  /** The ops it runs, in order. */
  readonly ops: readonly DispatchedOp[];
}

/** An op that a kernel runs, alone or with others. */
export interface DispatchedOp {
  readonly name: string;
  /** Where it was recorded; several where the compiler merged nodes, `''` outside of all. See `namedScope`. */
  readonly scopes: readonly string[];
}

export function lower(
  graph: TracedGraph,
  group: FusionGroup,
  inPlace: ReadonlyMap<Tensor, Tensor>,
  traits: DeviceTraits,
  selectConfig: ConfigSelector,
): Dispatch {
  let choice: Pick<Dispatch, 'configs' | 'config'> = {};
  const dispatch = lowerGroup(graph, group, inPlace, traits, (configs) => {
    const config = selectConfig(configs);
    choice = { configs, config };
    return config;
  });
  if (dispatch.kernel.bindings.length !== dispatch.bound.length) {
    const names = dispatch.kernel.bindings.map((b) => b.name).join(', ');
    throw new Error(`${dispatch.kernel.name} declares bindings ${names}, the group has ${dispatch.bound.length}`);
  }
  return { ...dispatch, ...choice, ops: opsOf(graph, group) };
}

/** Numbers, which are written into its text, left out. */
function opsOf(graph: TracedGraph, group: FusionGroup): DispatchedOp[] {
  const { anchor, body, batch } = group;
  if (batch) return batch.members.flatMap((member) => opsOf(graph, member));
  const nodes = anchor && takes(anchor) === 'prologue' ? [...body, anchor] : nodesOf(group);
  return nodes
    .filter((node) => constantValue(node.outputs[0]!) === undefined)
    .map((node) => ({ name: node.op.name, scopes: graph.scopesOf(node) }));
}

function lowerGroup(
  graph: TracedGraph,
  group: FusionGroup,
  inPlace: ReadonlyMap<Tensor, Tensor>,
  traits: DeviceTraits,
  selectConfig: ConfigSelector,
): Omit<Dispatch, 'ops'> {
  const { anchor } = group;
  const operands = operandsOf(graph, group);
  if (anchor?.op.lowering.kind === 'kernel') {
    const bound = [...operands, ...group.outputs.filter((output) => !inPlace.has(output))];
    return { kernel: anchor.op.lowering.kernel(anchor, traits, { selectConfig, inPlace: inPlace.size > 0 }), bound };
  }
  const { fragment, loads, outputs } = fragmentOf(graph, group.batch?.members[0] ?? group, inPlace);
  const read = loads.map((load) => load.root);
  if (anchor?.op.lowering.kind === 'anchor') {
    const drops = isProduct(anchor) && randomOfProduct(anchor).length > 0;
    const fused = group.body.length > 0 || drops ? fragment : undefined;
    if (group.batch) return lowerBatch(group, group.batch, [...operands, ...read], fused, traits, selectConfig);
    const kernel = anchor.op.lowering.kernel(anchor, fused, traits, selectConfig);
    const parts = partsOf(group);
    if (parts > 1) {
      const firsts = operands.slice(0, operands.length / parts);
      const others = [...read, ...outputs.filter((o) => !inPlace.has(o))];
      return { kernel, bound: [...firsts, ...others], spans: [...firsts.map(() => parts), ...others.map(() => 1)] };
    }
    if (takes(anchor) === 'prologue') return { kernel, bound: [...read, ...group.outputs] };
    return { kernel, bound: [...operands, ...read, ...outputs.filter((o) => !inPlace.has(o))] };
  }
  const kernel = elementwise(spaceOf(group), fragment, traits);
  return { kernel, bound: [...read, ...outputs.filter((o) => !inPlace.has(o))] };
}

function lowerBatch(
  { outputs }: FusionGroup,
  { members, each }: Batch,
  read: readonly Tensor[],
  fused: Fragment | undefined,
  traits: DeviceTraits,
  selectConfig: ConfigSelector,
): Omit<Dispatch, 'ops'> {
  const anchor = asBatch(members.map((member) => member.anchor).filter((node) => isProduct(node)));
  const { lowering } = anchor.op;
  if (lowering.kind !== 'anchor') throw new Error(`${anchor.op.name} is run in a batch and has no such kernel`);
  const count = members.length;
  const kernel = lowering.kernel(anchor, fused, traits, selectConfig, { count, each });
  return { kernel, bound: [...read, outputs[0]!], spans: [...each.map((own) => (own ? count : 1)), count] };
}
