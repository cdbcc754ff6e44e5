/**
 * Room: train. Stage one of Light-PEFT: PEFT modules, head and masks train together for a few steps, and the importance of every
 * head, neuron, module and rank is measured (docs/method.md §2–4).
 */
import type { InputSpec } from '../engine/compile/program.ts';
import type { Update } from '../engine/compile/graph.ts';
import type { HostArray } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { option, UserError } from '../engine/errors.ts';
import { parseOptions } from '../engine/options.ts';
import { warn } from '../engine/warnings.ts';
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
import { unitScores } from '../pruning/unit-scores.ts';
import { activationHooks, type ActivationSquares } from '../pruning/unit-sums.ts';
import { WeightSquares } from '../pruning/weight-squares.ts';
import type { EstimateResult } from '../pruning/scores-file.ts';
import { largestDistance } from '../pruning/stability.ts';
import { assertCompatible } from './exclusive-options.ts';
import { learningRates } from './learning-rates.ts';
import { estimateOptionsSchema, splitOptions, type EstimateOptions } from './options.ts';
import { firstCounted, StableEstimation, type Counted, type StableEnd } from './stable-end.ts';
import { stableOptions } from './stable-options.ts';
import { optimizationOf } from './model-loss.ts';
import { runOnData, type TrainingData } from './on-data.ts';
import type { MicroBatchGraph, StepGraph, StepTransform } from './step.ts';
import type { TrainResult } from './trainer.ts';

/** What an estimation measured, as `decide` reads it, and how it went. */
export interface Estimate extends ImportanceScores {
  /** Those made. */
  readonly steps: number;
  /** Those whose samples count: the second half. */
  readonly countedSteps: number;
  /** How its kept sets settled, with `estimateUntil` stable. */
  readonly stable?: StableEnd;
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
export async function estimate(model: PeftModel, data: TrainingData, options: EstimateOptions = {}): Promise<Estimate> {
  const { base, method } = model;
  if (!method) throw new Error('estimate: there are no PEFT modules to estimate');
  const { decide, ...others } = options;
  const { numbers, callbacks } = splitOptions(others);
  const parsed = parseOptions(estimateOptionsSchema, numbers);
  assertCompatible(parsed);
  const { steps: most, seed, l1, headsL1 = l1, ffnL1 = l1, headsMaskLr: headsLr, ffnMaskLr: ffnLr } = parsed;
  const masks: MaskOptions = { headsL1, ffnL1, headsLr, ffnLr };
  const stable = stableOptions(parsed, most);
  const work = async (): Promise<Estimate> => {
    const { layers, config } = base;
    const units = { layers, headDim: config.headDim, groups: model.parameters.groups, l1: masks };
    const accumulators = new ImportanceAccumulators(model.engine, method, units);
    try {
      using weights = await weightSquares(model);
      const end = stable && new StableEstimation(accumulators, stable, decide ?? {});
      const estimation = new Estimation(model, masks, most, { accumulators, weights, stable: end });
      const how = optimizationOf(model, parsed, most);
      const result = await runOnData(model, data, { options: parsed, how, callbacks, transform: estimation });
      const { steps } = result;
      if (end) warnUnlessStable(end.end);
      return { ...(await estimation.read(steps)), steps, seed, result, ...(end && { stable: end.end }) };
    } finally {
      accumulators.free();
    }
  };
  return model.withParameters(maskSpecs(base.layers, masks), work, learningRates(model, parsed));
}

/** Norms of the base's weights, of those that train along as they are. */
function weightSquares({ engine, base, parameters }: PeftModel): Promise<WeightSquares> {
  const table = (name: string): readonly Tensor[] =>
    (parameters.has(name) ? [parameters.get(name)] : base.table(name)).map(({ tensor }) => tensor);
  return WeightSquares.of(engine, base.config, base.layers, table);
}

function warnUnlessStable({ isReached, distances, threshold, queue, maxSteps }: StableEnd): void {
  const last = distances.at(-1);
  if (isReached || !last) return;
  const { part, distance } = largestDistance(last);
  warn(
    `the estimation did not become stable in ${maxSteps} steps: its last mask distance is ${distance.toFixed(3)} (${part}), and the last ` +
      `${queue} must be below ${threshold}; raise ${option('estimateSteps')} or ${option('estimateThreshold')}`,
  );
}

/** The content of `records.json`. @param base fingerprint of the checkpoint */
export function estimateResult(estimate: Estimate, base: string): Omit<EstimateResult, 'format' | 'version'> {
  const { steps, countedSteps, seed, nonFinite, result, heads, neurons, modules, ranks, stable, units = {} } = estimate;
  return {
    base,
    steps,
    counted_steps: countedSteps,
    seed,
    seconds: result.seconds,
    non_finite_samples: nonFinite,
    loss: [...result.loss],
    task_loss: [...result.taskLoss],
    ...(stable && { stability: stabilityOf(stable) }),
    head_masks: rowsOf(heads),
    ffn_masks: rowsOf(neurons),
    unit_importance: Object.fromEntries(
      Object.entries(units).map(([score, of]) => [score, { heads: rowsOf(of.heads), neurons: rowsOf(of.neurons) }]),
    ),
    module_importance: { ...modules },
    rank_importance: Object.fromEntries(Object.entries(ranks).map(([name, row]) => [name, [...row]])),
  };
}

function rowsOf(table: readonly (readonly number[])[]): number[][] {
  return table.map((row) => [...row]);
}

function stabilityOf(end: StableEnd): NonNullable<EstimateResult['stability']> {
  const { window, threshold, queue, minSteps, maxSteps, isReached, distances } = end;
  return {
    window,
    threshold,
    queue,
    min_steps: minSteps,
    max_steps: maxSteps,
    reached: isReached,
    distances: [...distances],
  };
}

/** What an estimation measures with. */
interface Instruments {
  readonly accumulators: ImportanceAccumulators;
  readonly weights: WeightSquares;
  readonly stable: StableEstimation | undefined;
}

/** Attached to a training run whose parameters include the masks of `maskSpecs`. */
class Estimation implements StepTransform {
  readonly inputs: Readonly<Record<string, InputSpec>> = { counted: COUNTED_INPUT };
  readonly #model: PeftModel;
  readonly #options: MaskOptions;
  readonly #first: number;
  readonly #accumulators: ImportanceAccumulators;
  readonly #weights: WeightSquares;
  readonly #stable: StableEstimation | undefined;
  #ratios: ModuleRatio[] = [];
  #activations: ActivationSquares = new Map();

  /** @param most steps T_e; without `stable` those from ⌊T_e/2⌋ on are counted, with it all, by stretches */
  constructor(model: PeftModel, options: MaskOptions, most: number, { accumulators, weights, stable }: Instruments) {
    this.#model = model;
    this.#options = options;
    this.#first = stable ? 0 : firstCounted(most);
    this.#accumulators = accumulators;
    this.#weights = weights;
    this.#stable = stable;
  }

  get state(): ImportanceAccumulators['state'] {
    return this.#accumulators.state;
  }

  get newState(): ImportanceAccumulators['newState'] {
    return this.#accumulators.newState;
  }

  get memory(): StableEstimation | undefined {
    return this.#stable;
  }

  forward({ attentionMask }: Readonly<Record<string, Tensor>>): ForwardOptions {
    this.#ratios = [];
    this.#activations = new Map();
    const parameter = (name: string): Tensor => this.#model.parameters.get(name).tensor;
    return {
      onDelta: (module, delta, base) => this.#ratios.push({ module, ratio: normRatio(delta, base) }),
      hooks: [maskHooks(parameter), activationHooks(parameter, attentionMask!, this.#activations)],
    };
  }

  penalty(parameter: (name: string) => Tensor): Tensor {
    return maskPenalty(this.#model.base.layers.length, parameter, this.#options);
  }

  values(step: number): Readonly<Record<string, HostArray>> {
    return { counted: Float32Array.of(step >= this.#first ? 1 : 0) };
  }

  updates({ inputs, gradients, packed, parameter, isAccumulated }: StepGraph): Update[] {
    const { attentionMask: mask, counted } = inputs as Record<'attentionMask' | 'counted', Tensor>;
    const modules = isAccumulated ? undefined : { ratios: this.#ratios, mask };
    const units = { gradients: packed, ...(!isAccumulated && { activations: this.#activations }) };
    return this.#accumulators.accumulate({ modules, ranks: { parameter, gradients }, units }, counted);
  }

  microBatch({ inputs, share }: MicroBatchGraph): Update[] {
    const { attentionMask: mask, counted } = inputs as Record<'attentionMask' | 'counted', Tensor>;
    const modules = { ratios: this.#ratios, mask, share };
    return this.#accumulators.accumulate({ modules, units: { activations: this.#activations } }, counted);
  }

  async afterStep(made: number): Promise<'stop' | undefined> {
    return this.#stable?.afterStep(made, (importance) => this.#scores(importance));
  }

  /** @param made steps */
  async read(made: number): Promise<Omit<Estimate, 'steps' | 'seed' | 'result'>> {
    const { countedSteps, importance } = await (this.#stable?.finish(made) ?? this.#secondHalf(made));
    return { ...(await this.#scores(importance)), nonFinite: importance.nonFinite, countedSteps };
  }

  async #secondHalf(made: number): Promise<Counted> {
    const countedSteps = made - this.#first;
    if (countedSteps <= 0)
      throw new UserError(
        `the estimation was stopped after step ${made}, before those that importance is measured in, from step ${this.#first + 1} on`,
      );
    return { countedSteps, importance: this.#accumulators.importance([await this.#accumulators.sums()], countedSteps) };
  }

  /** Importances, and the masks and weights as they are. */
  async #scores({ modules, ranks, units }: Importance): Promise<ImportanceScores> {
    const { engine, parameters, base } = this.#model;
    const { numHeads, kvHeads } = base.config;
    const masks = (nameOf: (layer: number) => string): Promise<number[][]> =>
      Promise.all(base.layers.map(async (_, layer) => [...(await engine.read(parameters.get(nameOf(layer))))]));
    const [heads, neurons] = await Promise.all([masks(headMaskName), masks(ffnMaskName)]);
    const more = unitScores(await this.#weights.read(), units);
    return { heads, neurons, modules, ranks, units: more, headsPerGroup: numHeads / kvHeads };
  }
}
