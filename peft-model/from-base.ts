/** Room: peft-model. Values that train and begin as the base's: DoRA's magnitudes, modules trained whole, biases. */
import type { Engine } from '../engine/engine.ts';
import { option, UserError } from '../engine/errors.ts';
import type { BaseModel } from '../models/base-model.ts';
import type { PeftConfig } from '../peft/config.ts';
import type { PeftMethod } from '../peft/module.ts';
import { isInSaved } from '../peft/targets.ts';
import type { ReadWeight } from '../pruning/slice.ts';

/** Reads weights back from the device, as f32. */
export function weightReader(engine: Engine, base: BaseModel): ReadWeight {
  return (name) => {
    const weight = base.weights.get(name);
    if (!weight) throw new Error(`the model has no weight ${name}`);
    return engine.read(weight);
  };
}

/**
 * Names of the base's weights that train: those inside `modules_to_save`, and biases where they are asked for.
 * @throws UserError for a word embedding that is to train but stays on the host
 */
export function trainedWeights(base: BaseModel, method: PeftMethod, peft: PeftConfig): string[] {
  const { wordEmbedding } = base;
  if (wordEmbedding && isInSaved(wordEmbedding.name, peft.modulesToSave)) {
    throw new UserError(
      `modules_to_save: ${wordEmbedding.name} stays on the host, where nothing trains; set ${option('embeddings')} to device`,
    );
  }
  const adapted = new Set(method.modules.map(({ name }) => `${name}.bias`));
  const { bias } = peft;
  const trains = (name: string): boolean =>
    isInSaved(name, peft.modulesToSave) ||
    (name.endsWith('.bias') && (bias === 'all' || (bias === 'lora_only' && adapted.has(name))));
  return [...base.weights.keys()].filter(trains);
}

/** Fresh values of factors that begin as something of the weight they are attached to. @param values the other factors' */
export async function factorsFromBase(
  method: PeftMethod,
  values: ReadonlyMap<string, Float32Array>,
  read: ReadWeight,
): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  if (!method.initFromWeight) return found;
  for (const module of method.modules) {
    const weight = await read(`${module.name}.weight`);
    for (const [name, value] of method.initFromWeight({ module, values, weight })) found.set(name, value);
  }
  return found;
}
