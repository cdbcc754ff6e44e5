/**
 * Room: train. Stage one of Light-PEFT: PEFT modules, head and masks train together for a few steps, and the importance of every
 * head, neuron, module and rank is measured (docs/method.md §2–3).
 */
import type { InputSpec } from '../engine/compile/program.ts';
import type { Update } from '../engine/compile/graph.ts';
import type { HostArray } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { parseOptions } from '../engine/options.ts';
import type { Examples } from '../data/example-store.ts';
import { objectiveOf } from '../data/objective.ts';
import { arePacked } from '../data/packing.ts';
import type { PeftMethod } from '../peft/module.ts';
import type { ForwardOptions, PeftModel } from '../peft-model/peft-model.ts';
import {
  COUNTED_INPUT,
  ImportanceAccumulators,
  normRatio,
  type Importance,
  type ModuleRatio,
} from '../pruning/importance.ts';
import type { ImportanceScores } from '../pruning/decide.ts';
import { ffnMaskName, headMaskName, maskHooks, maskPenalty, maskSpecs, type MaskOptions } from '../pruning/masks.ts';
import type { EstimateResult } from '../pruning/scores-file.ts';
import { assertCompatible } from './exclusive-options.ts';
import { learningRates } from './learning-rates.ts';
import { estimateOptionsSchema, splitOptions, type EstimateOptions } from './options.ts';
import { optimizationOf, trainingBatches, trainingLoss } from './train.ts';
import type { MicroBatchGraph, StepGraph, StepTransform } from './step.ts';
import { runTraining, type TrainResult } from './trainer.ts';

/** What an estimation measured, as `decide` reads it, and how it went. */
export interface Estimate extends ImportanceScores {
  readonly steps: number;
  /** Those whose samples count: the second half. */
  readonly countedSteps: number;
  readonly seed: number;
  /** NaN or infinite samples, which count as 0. */
  readonly nonFinite: number;
  readonly result: TrainResult;
}

/**
 * Trains masks on every head and neuron beside a model's modules and head, and measures importance. The masks are gone afterwards; what
 * the modules learned stays.
 * @throws UserError for an option out of range; what `train` throws
 */
export async function estimate(model: PeftModel, examples: Examples, options: EstimateOptions = {}): Promise<Estimate> {
  const { base, method } = model;
  if (!method) throw new Error('estimate: there are no PEFT modules to estimate');
  const { numbers, callbacks } = splitOptions(options);
  const parsed = parseOptions(estimateOptionsSchema, numbers);
  assertCompatible(parsed);
  const { steps, seed, l1, headsL1 = l1, ffnL1 = l1, headsMaskLr: headsLr, ffnMaskLr: ffnLr } = parsed;
  const masks: MaskOptions = { headsL1, ffnL1, headsLr, ffnLr };
  const work = async (): Promise<Estimate> => {
    const estimation = new Estimation(model, method, masks, steps);
    try {
      const batches = trainingBatches(model, examples, parsed);
      const training = trainingLoss(model, objectiveOf(model, examples, parsed), arePacked(examples));
      const result = await runTraining(training, batches, optimizationOf(model, parsed, steps), callbacks, estimation);
      const headsPerGroup = base.config.numHeads / base.config.kvHeads;
      return { ...(await estimation.read()), headsPerGroup, steps, seed, result };
    } finally {
      estimation.free();
    }
  };
  return model.withParameters(maskSpecs(base.layers, masks), work, learningRates(model, parsed));
}

/** The content of `records.json`. @param base fingerprint of the checkpoint */
export function estimateResult(estimate: Estimate, base: string): Omit<EstimateResult, 'format' | 'version'> {
  const { steps, countedSteps, seed, nonFinite, result, heads, neurons, modules, ranks } = estimate;
  return {
    base,
    steps,
    counted_steps: countedSteps,
    seed,
    seconds: result.seconds,
    non_finite_samples: nonFinite,
    loss: [...result.loss],
    task_loss: [...result.taskLoss],
    head_masks: heads.map((row) => [...row]),
    ffn_masks: neurons.map((row) => [...row]),
    module_importance: { ...modules },
    rank_importance: Object.fromEntries(Object.entries(ranks).map(([name, row]) => [name, [...row]])),
  };
}

/** Attached to a training run whose parameters include the masks of `maskSpecs`. */
class Estimation implements StepTransform {
  readonly inputs: Readonly<Record<string, InputSpec>> = { counted: COUNTED_INPUT };
  readonly #model: PeftModel;
  readonly #options: MaskOptions;
  readonly #steps: number;
  readonly #accumulators: ImportanceAccumulators;
  #ratios: ModuleRatio[] = [];

  /** @param steps T_e; those from ⌊T_e/2⌋ on are counted */
  constructor(model: PeftModel, method: PeftMethod, options: MaskOptions, steps: number) {
    this.#model = model;
    this.#options = options;
    this.#steps = steps;
    this.#accumulators = new ImportanceAccumulators(model.engine, method);
  }

  get state(): ImportanceAccumulators['state'] {
    return this.#accumulators.state;
  }

  forward(): ForwardOptions {
    this.#ratios = [];
    return {
      onDelta: (module, delta, base) => this.#ratios.push({ module, ratio: normRatio(delta, base) }),
      hooks: [maskHooks((name) => this.#model.parameters.get(name).tensor)],
    };
  }

  penalty(parameter: (name: string) => Tensor): Tensor {
    return maskPenalty(this.#model.base.layers.length, parameter, this.#options);
  }

  values(step: number): Readonly<Record<string, HostArray>> {
    return { counted: Float32Array.of(step >= Math.floor(this.#steps / 2) ? 1 : 0) };
  }

  updates({ inputs, gradients, parameter, isAccumulated }: StepGraph): Update[] {
    const { attentionMask: mask, counted } = inputs as Record<'attentionMask' | 'counted', Tensor>;
    const modules = isAccumulated ? undefined : { ratios: this.#ratios, mask };
    return this.#accumulators.accumulate({ modules, ranks: { parameter, gradients } }, counted);
  }

  microBatch({ inputs, share }: MicroBatchGraph): Update[] {
    const { attentionMask: mask, counted } = inputs as Record<'attentionMask' | 'counted', Tensor>;
    return this.#accumulators.accumulate({ modules: { ratios: this.#ratios, mask, share } }, counted);
  }

  async read(): Promise<Importance & Pick<Estimate, 'heads' | 'neurons' | 'countedSteps'>> {
    const countedSteps = this.#steps - Math.floor(this.#steps / 2);
    const importance = await this.#accumulators.read(countedSteps);
    const values = await this.#model.stateDict();
    const masks = (nameOf: (layer: number) => string): number[][] =>
      this.#model.base.layers.map((_, layer) => [...values.get(nameOf(layer))!]);
    return { ...importance, heads: masks(headMaskName), neurons: masks(ffnMaskName), countedSteps };
  }

  free(): void {
    this.#accumulators.free();
  }
}
