/** Room: peft-model. Stage two without a device: an adapter's folder cut by a plan, weights read from the checkpoint where needed. */
import type { Shape } from '../engine/graph/shape.ts';
import { parseOptions } from '../engine/options.ts';
import { frozenWeightShapes } from '../models/base-model.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { openWeights } from '../models/resized-file.ts';
import { headShapes } from '../models/heads.ts';
import { readWeight, storedName } from '../models/weights.ts';
import { valueOf } from '../peft/module.ts';
import type { Decision } from '../pruning/decide.ts';
import { sliceWeight, type ReadWeight } from '../pruning/slice.ts';
import { readOwnHead } from './own-head.ts';
import { checkpointOf, type StateBase } from './pretrained.ts';
import { sliced, sliceOptionsSchema, type SliceOptions } from './slice-state.ts';
import { reinitialise, type PeftModelState } from './state.ts';

/** What is left of an adapter, as `writeState` takes it. */
export async function sliceFolder(
  given: Checkpoint,
  state: PeftModelState,
  decision: Decision,
  options: SliceOptions,
): Promise<{ base: StateBase; state: PeftModelState }> {
  const checkpoint = checkpointOf(given, state.values);
  const { dir, config } = checkpoint;
  const { startFrom, seed, newHead } = parseOptions(sliceOptionsSchema, options);
  const head = headShapes(config, state.head, state.labels.length);
  const shapes = new Map([...frozenWeightShapes(config, state.head)].filter(([name]) => !head.has(name)));
  const file = await openWeights(dir, config);
  try {
    const read: ReadWeight = (name) => readWeight(file, config, name, shapes.get(name)!);
    const cut = (name: string, data: Float32Array): ReturnType<typeof sliceWeight> =>
      sliceWeight(config, decision.layers, name, data, shapes.get(name)!);
    const left = await sliced(config, state, decision, (name): Shape | undefined => shapes.get(name), read);
    const trained = [...state.values].filter(([name]) => shapes.has(name));
    const weights = new Map(trained.map(([name, data]) => [name, { shape: cut(name, data).shape }]));
    if (startFrom === 'inherit') return { base: { config, weights }, state: left };
    // What the checkpoint lacks has only the adapter's values.
    const first = async (name: string): Promise<Float32Array> =>
      storedName(file, name, config) === undefined ? valueOf(state.values, name) : read(name);
    const ownHead = newHead ? undefined : await readOwnHead(checkpoint, state);
    const fresh = await reinitialise(config, left, seed, async (name) => cut(name, await first(name)).data, ownHead);
    return { base: { config, weights }, state: fresh };
  } finally {
    await file.close();
  }
}
