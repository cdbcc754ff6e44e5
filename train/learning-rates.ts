/** Room: train. Learning rates by part of a model: head, layers, and LoRA's two factors. Pure functions. */
import { option, UserError } from '../engine/errors.ts';
import { headShapes } from '../models/heads.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import type { StepOptions } from './options.ts';

/** The options that set one. */
type Rates = Pick<StepOptions, 'lr' | 'headLr' | 'freezeHead' | 'layerwiseLrDecay' | 'loraPlusLrRatio'>;

/**
 * What multiplies the learning rate of a parameter, by its name; undefined where all are alike.
 *
 * - The head has its own learning rate, or none.
 * - With layerwise decay d (ELECTRA, Clark et al. 2020) layer l of L has d^(L − 1 − l), and embeddings d^L.
 * - LoRA+ (Hayou et al. 2024): factors B learn faster than A.
 * @throws UserError where options exclude each other, or do not fit the method
 */
export function learningRates(model: PeftModel, rates: Rates): ((name: string) => number) | undefined {
  const { lr, headLr, freezeHead, layerwiseLrDecay: decay, loraPlusLrRatio: ratio } = rates;
  if (freezeHead && headLr !== undefined)
    throw new UserError(`${option('freezeHead')} and ${option('headLr')}: give one of them`);
  const factors = ratio === undefined ? undefined : secondFactors(model);
  if (!freezeHead && headLr === undefined && decay === undefined && ratio === undefined) return undefined;
  const { config } = model.base;
  const head = new Set(headShapes(config, model.head, model.labels.length).keys());
  const ofHead = freezeHead ? 0 : headLr === undefined ? 1 : headLr / lr;
  return (name) => {
    if (head.has(name)) return ofHead;
    const depth = decay === undefined ? 1 : decay ** depthBelowTop(name, config.numLayers);
    return depth * (factors?.has(name) ? ratio! : 1);
  };
}

/** Names of LoRA's factors B. @throws UserError for other methods */
function secondFactors({ method, peft }: PeftModel): ReadonlySet<string> {
  if (peft.method !== 'lora' && peft.method !== 'dora')
    throw new UserError(`${option('loraPlusLrRatio')}: is for LoRA and DoRA, not for ${peft.method}`);
  return new Set((method?.modules ?? []).flatMap(({ name }) => [`${name}.lora_B.weight`, `${name}.lora_embedding_B`]));
}

/** Layers above the one that a parameter is in; what is in none lies below all. */
function depthBelowTop(name: string, layers: number): number {
  const [, index] = /\.(?:layer|layers|h)\.(\d+)\./.exec(name) ?? [];
  return index === undefined ? layers : layers - 1 - Number(index);
}
