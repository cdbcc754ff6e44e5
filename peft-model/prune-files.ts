/** Room: peft-model. Stage two without a device: an adapter's folder cut by a plan, weights read from the checkpoint where needed. */
import type { Shape } from '../engine/graph/shape.ts';
import { openSafetensors } from '../engine/io/safetensors.ts';
import type { ModelConfig } from '../models/architecture.ts';
import { baseWeightShapes } from '../models/base-model.ts';
import { frozenHeadShapes, headShapes } from '../models/heads.ts';
import { readWeight, storedName } from '../models/weights.ts';
import { valueOf } from '../peft/module.ts';
import { configFor } from '../peft/config.ts';
import { methodOf } from '../peft/methods.ts';
import type { Plan } from '../pruning/plan.ts';
import { sliceWeight, type ReadWeight } from '../pruning/slice.ts';
import type { readAdapterValues } from './pretrained.ts';
import type { PeftModelState } from './assembly.ts';
import type { Settings } from '../train/settings.ts';
import { keptLayers, prunePeft, reinitialise } from '../train/stages.ts';

/** What is left of an adapter, as `saveArtefact` takes it. */
interface HostPruned extends Omit<PeftModelState, 'base'> {
  readonly base: { readonly config: ModelConfig; readonly weights: ReadonlyMap<string, { readonly shape: Shape }> };
}

export async function pruneOnHost(
  modelDir: string,
  config: ModelConfig,
  { method, peft, values, head: kind, labels }: Awaited<ReturnType<typeof readAdapterValues>>,
  plan: Plan,
  { carry, seed }: Pick<Settings, 'carry' | 'seed'>,
): Promise<HostPruned> {
  const head = headShapes(config, kind, labels.length);
  const shapes = new Map(
    [...baseWeightShapes(config), ...frozenHeadShapes(config, kind)].filter(([name]) => !head.has(name)),
  );
  const file = await openSafetensors(modelDir);
  try {
    const read: ReadWeight = (name) => readWeight(file, config, name, shapes.get(name) as Shape);
    const keep = keptLayers(plan);
    const cut = (name: string, data: Float32Array): ReturnType<typeof sliceWeight> =>
      sliceWeight(config, keep, name, data, shapes.get(name) as Shape);
    const pruned = await prunePeft(config, method, values, plan, (name) => shapes.get(name), read);
    const trained = [...values].filter(([name]) => shapes.has(name));
    const weights = new Map(trained.map(([name, data]) => [name, { shape: cut(name, data).shape }]));
    const left = configFor(pruned.method.modules, peft);
    const { modules } = pruned.method;
    const assembly = {
      base: { config, weights },
      method: methodOf(left, modules),
      peft: left,
      values: pruned.values,
      head: kind,
      labels,
    };
    if (carry === 'inherit') return assembly;
    // What the checkpoint lacks has only the adapter's values.
    const first = async (name: string): Promise<Float32Array> =>
      storedName(file, name, config) === undefined ? valueOf(values, name) : read(name);
    return await reinitialise(assembly, seed, async (name) => cut(name, await first(name)).data);
  } finally {
    await file.close();
  }
}
