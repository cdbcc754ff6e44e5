/**
 * Room: engine/compile. From a traced graph to the groups of a program: what is computed again, rewrites, fusion, batches, and their order.
 */
import type { DeviceTraits } from '../../kernels/kernel.ts';
import { mayDropProducts } from '../../kernels/matmul.ts';
import type { MemoryLimits } from '../device/memory.ts';
import type { Tensor } from '../graph/tensor.ts';
import { copy } from '../ops/copy.ts';
import { fuseHorizontally, type Batched } from './horizontal-fusion.ts';
import { fuseDropout } from './fuse-dropout.ts';
import { fuse } from './fuse.ts';
import { packOf, TracedGraph, type Results } from './graph.ts';
import { fuseNormBackward } from './fuse-norm-backward.ts';
import { dedupeBindings } from './dedupe-bindings.ts';
import { fixedPlaces } from './place.ts';
import { fuseMatmulSums } from './fuse-matmul-sum.ts';
import { recompute, type ActivationType, type Recompute } from './recompute.ts';
import { schedule } from './schedule.ts';
import type { FusionGroup } from './fusion-group.ts';

export interface OrderOptions {
  /** What the backward pass computes again in place of keeping it; `cheap` unless given. */
  readonly recompute?: Recompute;
  /** Storage of what it keeps; f32 unless given. f16 needs a device with shader-f16. */
  readonly activations?: ActivationType;
}

export interface Ordered extends Batched {
  readonly graph: TracedGraph;
}

/** A program's results with updates whose values are in nobody else's memory: not in that of a variable or input, or of another update. */
function apart({ outputs, updates }: Results): Results {
  const taken = new Set<Tensor>();
  const own = updates.map((update) => {
    const source = sourceOf(update.value);
    const isOthers = source.node.op.lowering.kind === 'leaf' || taken.has(source);
    taken.add(source);
    return isOthers ? { ...update, value: copy(update.value) } : update;
  });
  return { outputs, updates: own };
}

/** The tensor that a view is of. */
function sourceOf(tensor: Tensor): Tensor {
  const { op, inputs } = tensor.node;
  return op.lowering.kind === 'view' && !packOf(tensor) ? sourceOf(inputs[0]!) : tensor;
}

/** Fused groups in order. Updates that need each other's old values are computed aside and copied in at the end. */
export function orderGroups(
  asked: Results,
  traits: DeviceTraits,
  { maxStorageBufferBindingSize: limit }: MemoryLimits,
  options: OrderOptions,
): Ordered {
  const { recompute: mode = 'cheap', activations = 'f32' } = options;
  const attempt = (wanted: Results): Omit<Ordered, 'groups'> & { groups: FusionGroup[] | undefined } => {
    const graph = new TracedGraph(wanted);
    recompute(graph, mode, activations);
    fuseNormBackward(graph);
    fuseDropout(graph);
    fuseMatmulSums(graph, mayDropProducts(traits), limit);
    dedupeBindings(graph);
    const fused = fuse(graph, traits.maxStorageBuffers);
    const { groups, contiguous } = fuseHorizontally(graph, fused, fixedPlaces(graph, fused), limit);
    return { graph, contiguous, groups: schedule(graph, groups) };
  };
  const results = apart(asked);
  const direct = attempt(results);
  if (direct.groups) return { ...direct, groups: direct.groups };
  const aside = attempt({ ...results, updates: results.updates.map((u) => ({ ...u, value: copy(u.value) })) });
  if (!aside.groups) throw new Error('the groups of a program wait for each other; fusion made a cycle');
  return { ...aside, groups: aside.groups };
}
