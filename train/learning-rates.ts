/** Room: train. Learning rates by part of a model: head, layers, and LoRA's two factors. Pure functions. */
import { option, UserError } from '../engine/errors.ts';
import { embeddingTables, type ModelConfig } from '../models/architecture.ts';
import { headShapes } from '../models/heads.ts';
import type { LearningRate, PeftModel } from '../peft-model/peft-model.ts';
import { furtherHeadShapes } from '../peft-model/task-heads.ts';
import type { StepOptions, TrainOnlyOptions } from './options.ts';

/** The options that set one. */
type Rates = Pick<StepOptions, 'lr' | 'headLr' | 'freezeHead' | 'layerwiseLrDecay' | 'loraPlusLrRatio'> &
  Pick<TrainOnlyOptions, 'lrScaling'>;

/**
 * What multiplies the learning rate of a parameter; undefined where all are alike.
 *
 * - The head has its own learning rate, or does not train.
 * - Layerwise decay d (Howard & Ruder 2018; Sun et al. 2019): the top layer of L has `lr`, layer l, counted from 0, d^(L − 1 − l) of it, and
 *   the embeddings d^L. What lies above the layers has `lr`.
 * - LoRA+ (Hayou et al. 2024): factors B have a multiple of the rate of factors A.
 * - Of a pruned model, what is not the head has more the fewer ranks are left: by 1/√s or 1/s of the part s that is. A step of Adam moves every
 *   entry as far, so that an update of fewer ranks is smaller; the root is what rank-stabilised LoRA divides by (Kalajdzievski 2023).
 * @throws UserError where nothing is left to train, or an option does not fit the method
 */
export function learningRates(model: PeftModel, rates: Rates): LearningRate | undefined {
  const { lr, headLr = lr, freezeHead, layerwiseLrDecay = 1, loraPlusLrRatio = 1, lrScaling = 'none' } = rates;
  const scale = SCALES[lrScaling](shareLeft(model));
  const isFactorB = loraPlusLrRatio === 1 ? () => false : secondFactors(model);
  if (!freezeHead && headLr === lr && layerwiseLrDecay === 1 && loraPlusLrRatio === 1 && scale === 1) return undefined;
  const { config } = model.base;
  const own = headShapes(config, model.head, model.labels.length);
  const head = new Set([...own.keys(), ...furtherHeadShapes(config, model.heads).keys()]);
  if (freezeHead && model.parameters.all.every(({ name }) => head.has(name)))
    throw new UserError(`${option('freezeHead')}: nothing is left to train, there are no PEFT modules`);
  const layersAbove = layerDepth(config);
  return (name) => {
    if (head.has(name)) return freezeHead ? undefined : headLr / lr;
    return scale * layerwiseLrDecay ** layersAbove(name) * (isFactorB(name) ? loraPlusLrRatio : 1);
  };
}

const SCALES: Readonly<Record<NonNullable<Rates['lrScaling']>, (left: number) => number>> = {
  none: () => 1,
  sqrt: (left) => 1 / Math.sqrt(left),
  linear: (left) => 1 / left,
};

/** Part of the ranks of all modules that pruning left, by its ratios; 1 without pruning. */
function shareLeft({ plan }: PeftModel): number {
  if (!plan) return 1;
  const { module_ratio: modules, rank_ratio: ranks } = plan.origin;
  return (1 - modules) * (1 - ranks);
}

/** Tells LoRA's factors B. @throws UserError for other methods */
function secondFactors({ method, peft }: PeftModel): (name: string) => boolean {
  if (!method || (peft.method !== 'lora' && peft.method !== 'dora'))
    throw new UserError(
      `${option('loraPlusLrRatio')}: is for LoRA and DoRA, not for ${method ? peft.method : 'a head'}`,
    );
  return (name) => name.endsWith('.lora_B.weight') || name.endsWith('.lora_embedding_B');
}

/** How many layers lie above the one that a parameter is in: none above what follows the layers, all above embeddings. */
function layerDepth(config: ModelConfig): (name: string) => number {
  const { architecture, numLayers } = config;
  const { block, embeddings } = architecture;
  const layers = Array.from({ length: numLayers }, (_, layer) => `${block.prefix(layer)}.`);
  const { norm, project } = embeddings;
  const below = [...embeddingTables(config).map((table) => table.name), norm, project, embeddings.positions];
  return (name) => {
    const layer = layers.findIndex((prefix) => name.startsWith(prefix));
    if (layer >= 0) return numLayers - 1 - layer;
    return below.some((module) => module !== undefined && name.startsWith(`${module}.`)) ? numLayers : 0;
  };
}
