/**
 * Room: engine/compile. From a traced graph to the steps of a program: what is computed again, rewrites, fusion, batches, and their order.
 */
import type { DeviceTraits } from '../../kernels/kernel.ts';
import { mayDropProducts } from '../../kernels/matmul.ts';
import { copy } from '../ops/copy.ts';
import { batchSteps, type Batched } from './batch.ts';
import { dropInProducts } from './drops.ts';
import { fuse } from './fuse.ts';
import { TracedGraph, type Results } from './graph.ts';
import { mergeNorms } from './norms.ts';
import { separateOperands } from './operands.ts';
import { fixedPlaces } from './place.ts';
import { mergeProducts } from './products.ts';
import { recompute, type ActivationType, type Recompute } from './recompute.ts';
import { schedule } from './schedule.ts';
import type { Step } from './step.ts';

export interface OrderOptions {
  /** What the backward pass computes again in place of keeping it; `cheap` unless given. */
  readonly recompute?: Recompute;
  /** Storage of what it keeps; f32 unless given. f16 needs a device with shader-f16. */
  readonly activations?: ActivationType;
}

export interface Ordered extends Batched {
  readonly graph: TracedGraph;
}

/** Fused steps in order. Updates that need each other's old values are computed aside and copied in at the end. */
export function orderSteps(results: Results, traits: DeviceTraits, options: OrderOptions): Ordered {
  const { recompute: mode = 'cheap', activations = 'f32' } = options;
  const attempt = (wanted: Results): Omit<Ordered, 'steps'> & { steps: Step[] | undefined } => {
    const graph = new TracedGraph(wanted);
    recompute(graph, mode, activations);
    mergeNorms(graph);
    dropInProducts(graph);
    mergeProducts(graph, mayDropProducts(traits));
    separateOperands(graph);
    const fused = fuse(graph, traits.maxStorageBuffers);
    const { steps, bundles } = batchSteps(graph, fused, fixedPlaces(graph, fused));
    return { graph, bundles, steps: schedule(graph, steps) };
  };
  const direct = attempt(results);
  if (direct.steps) return { ...direct, steps: direct.steps };
  const aside = attempt({ ...results, updates: results.updates.map((u) => ({ ...u, value: copy(u.value) })) });
  if (!aside.steps) throw new Error('the steps of a program wait for each other; fusion made a cycle');
  return { ...aside, steps: aside.steps };
}
