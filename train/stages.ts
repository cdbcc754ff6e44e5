/** Room: train. The three stages of Light-PEFT: estimate → (decide) → prune → fine-tune. Each takes what the one before left. */
import type { Engine } from '../engine/engine.ts';
import type { OnBytes } from '../engine/io/load.ts';
import type { Shape } from '../engine/graph/shape.ts';
import { configFor } from '../peft/config.ts';
import { methodOf } from '../peft/methods.ts';
import type { PeftMethod, PeftModule, StateDict } from '../peft/module.ts';
import { decide, randomScores, type DecideOptions, type ImportanceScores } from '../pruning/decide.ts';
import { maskSpecs, type MaskOptions } from '../pruning/masks.ts';
import type { Plan } from '../pruning/plan.ts';
import { sliceModel, sliceModule, sliceWeight, type LayerKeep, type ReadWeight } from '../pruning/slice.ts';
import type { BaseModel } from '../models/base-model.ts';
import type { ModelConfig } from '../models/architecture.ts';
import { initState, toPeftModel, type PeftModelState } from '../peft-model/assembly.ts';
import { DataLoader, type Order } from '../data/data-loader.ts';
import type { EncodedExample } from '../data/encode.ts';
import { hostRandom, STREAM } from '../engine/random.ts';
import { Estimation, type Estimates } from './estimate.ts';
import { factorsFromBase, weightReader } from '../peft-model/from-base.ts';
import { infer, inferEach, type Inference, type InferenceCost } from './evaluate.ts';
import { evaluateLanguage, type LanguageMetrics } from './evaluate-language.ts';
import { objectiveOf, type ScoreMetrics } from '../data/objective.ts';
import { ANSWER_DEFAULTS, type AnswerOptions } from '../data/qa/answers.ts';
import type { Settings } from './settings.ts';
import { train, type TrainOptions, type TrainResult } from './trainer.ts';

/** Batches larger than this gain nothing at inference on any adapter measured, and cost memory. */
const INFER_BATCH = 32;

/** What a watcher may pass along. */
export interface TrainCallbacks extends Pick<TrainOptions, 'signal' | 'onReport' | 'checkpoint'> {
  /** How much of a checkpoint has been read. */
  readonly onBytes?: OnBytes;
}

export interface EstimateOutcome {
  readonly estimates: Estimates;
  /** Trained factors and head. */
  readonly values: StateDict;
  readonly result: TrainResult;
}

export function maskOptions(settings: Settings): MaskOptions {
  const { l1, headsL1 = l1, ffnL1 = l1, headsMaskLr: headsLr, ffnMaskLr: ffnLr } = settings;
  return { headsL1, ffnL1, headsLr, ffnLr };
}

function trainingBatches(examples: readonly EncodedExample[], config: ModelConfig, settings: Settings): DataLoader {
  const order: Order = !settings.shuffle ? 'file' : settings.bucket ? 'bucket' : 'shuffle';
  const { batchSize, seed, maxLength } = settings;
  return new DataLoader(examples, { batchSize, order, seed, padId: config.padTokenId, maxLength });
}

/** Steps of fine-tuning: `--steps`, or as many as `--epochs` take. */
export function stepsOf(examples: number, { steps, epochs, batchSize }: Settings): number {
  return steps > 0 ? steps : Math.max(1, Math.round(epochs * Math.ceil(examples / batchSize)));
}

export function trainOptions(
  settings: Settings,
  steps: number,
  { onBytes: _, ...watch }: TrainCallbacks,
): TrainOptions {
  const { lr, schedule, warmupRatio, weightDecay, clip, seed, dropout, activations } = settings;
  const compile = { activations, recompute: settings.gradientCheckpointing ? 'layers' : 'cheap' } as const;
  return { steps, lr, schedule, warmupRatio, weightDecay, clip, seed, dropout: dropout > 0, compile, ...watch };
}

/** Stage one. The assembly's base stays whole; masks are trained beside factors and head. */
export async function estimate(
  engine: Engine,
  assembly: PeftModelState,
  examples: readonly EncodedExample[],
  settings: Settings,
  watch: TrainCallbacks = {},
): Promise<EstimateOutcome> {
  const { base, method } = assembly;
  if (!method) throw new Error('estimate: there are no PEFT modules to estimate');
  const masks = maskOptions(settings);
  const objective = objectiveOf(assembly, examples);
  const classifier = toPeftModel(engine, assembly, maskSpecs(base.layers, masks), objective);
  const estimation = new Estimation(classifier, method, masks, settings.estimateSteps);
  try {
    const batches = trainingBatches(examples, base.config, settings);
    const options = trainOptions(settings, settings.estimateSteps, watch);
    const result = await train(classifier, batches, options, estimation);
    return { estimates: await estimation.read(), values: await classifier.parameters.read(), result };
  } finally {
    estimation.free();
    classifier.parameters.free();
  }
}

/** Which algorithms a plan applies; a part that is not applied keeps everything. */
export type Method = 'light-peft' | 'random' | 'foundation-only' | 'peft-only';

function decideOptions(settings: Settings, method: Method = 'light-peft'): DecideOptions {
  const foundation = method === 'peft-only' ? { headsRatio: 0, ffnRatio: 0 } : {};
  const peft = method === 'foundation-only' ? { moduleRatio: 0, rankRatio: 0 } : {};
  return { ...settings, ...foundation, ...peft };
}

/** Between stages one and two: the plan. */
export function makePlan(
  config: ModelConfig,
  fingerprint: string,
  scores: ImportanceScores,
  settings: Settings,
  method: Method = 'light-peft',
): Plan {
  const options = decideOptions(settings, method);
  const random = hostRandom(settings.seed, STREAM.pruning);
  const used = method === 'random' ? randomScores(scores, () => random.uniform()) : scores;
  const decision = decide(used, options, config.numHeads / config.kvHeads);
  return {
    base: {
      fingerprint,
      model_type: config.family,
      num_hidden_layers: config.numLayers,
      num_attention_heads: config.numHeads,
      num_key_value_heads: config.kvHeads,
      intermediate_size: config.intermediateSize,
    },
    layers: decision.layers.map(({ heads, neurons }, layer) => ({
      heads,
      neurons,
      ...(settings.foldMasks && {
        fold: {
          heads: heads.map((h) => scores.heads[layer]?.[h] ?? 1),
          neurons: neurons.map((n) => scores.neurons[layer]?.[n] ?? 1),
        },
      }),
    })),
    modules: Object.fromEntries(
      Object.entries(decision.modules).map(([name, kept]) => [name, { ranks: scores.ranks[name]?.length ?? 0, kept }]),
    ),
    origin: {
      method: method === 'random' ? 'random' : 'light-peft',
      seed: settings.seed,
      steps: settings.estimateSteps,
      heads_ratio: options.headsRatio,
      heads_scope: options.headsScope,
      head_unit: options.headUnit,
      ffn_ratio: options.ffnRatio,
      ffn_scope: options.ffnScope,
      mask_score: options.maskScore,
      module_ratio: options.moduleRatio,
      rank_ratio: options.rankRatio,
      rank_scope: options.rankScope,
    },
  };
}

/** The plan's layers in the form surgery takes. */
export function keptLayers(plan: Plan): LayerKeep[] {
  return plan.layers.map(({ heads, neurons, fold }) => ({ heads, neurons, ...(fold && { fold }) }));
}

/**
 * Stage two on the host: the PEFT modules that stay and the values of their factors, sliced as the base will be; weights of the base
 * that train along are sliced too.
 * @param shapes of such weights before slicing
 */
export async function prunePeft(
  config: ModelConfig,
  method: PeftMethod,
  values: StateDict,
  plan: Plan,
  shapes: (name: string) => Shape | undefined,
  read: ReadWeight,
): Promise<{ method: PeftMethod; values: Map<string, Float32Array> }> {
  const keep = keptLayers(plan);
  const factorNames = new Set(method.modules.flatMap((m) => method.factors(m).map(({ name }) => name)));
  const pruned = new Map<string, Float32Array>();
  for (const [name, value] of values) {
    if (factorNames.has(name) || name.startsWith('masks.')) continue;
    const shape = shapes(name);
    pruned.set(name, shape ? sliceWeight(config, keep, name, value, shape).data : value);
  }
  const modules: PeftModule[] = [];
  for (const module of method.modules) {
    const kept = plan.modules[module.name]?.kept;
    if (!kept) continue;
    const result = await sliceModule(config, keep, method, module, values, kept, read);
    modules.push(result.module);
    for (const [name, value] of result.values) pruned.set(name, value);
  }
  return { method: method.withModules(modules), values: pruned };
}

/** Stage two: cuts base and factors. The given base must not be used again. */
export async function prune(
  engine: Engine,
  assembly: PeftModelState,
  plan: Plan,
  settings: Settings,
): Promise<PeftModelState> {
  const { base, method, head, labels } = assembly;
  if (!method) throw new Error('prune: there are no PEFT modules to prune');
  const shapes = (name: string): Shape | undefined => base.weights.get(name)?.shape;
  const peft = await prunePeft(base.config, method, assembly.values, plan, shapes, weightReader(engine, base));
  const cut: BaseModel = await sliceModel(engine, base, keptLayers(plan));
  const config = configFor(peft.method.modules, assembly.peft);
  const left = {
    base: cut,
    method: methodOf(config, peft.method.modules),
    peft: config,
    values: peft.values,
    head,
    labels,
  };
  return settings.carry === 'inherit' ? left : reinitialise(left, settings.seed, weightReader(engine, cut));
}

/** Starts what is left afresh. @param read weights of the pruned base */
export async function reinitialise<
  A extends Omit<PeftModelState, 'base'> & { readonly base: { readonly config: ModelConfig } },
>(assembly: A, seed: number, read: ReadWeight): Promise<A> {
  const { base, method, values, head, labels } = assembly;
  const fresh = initState(base.config, method, head, labels.length, seed);
  for (const [name, value] of method ? await factorsFromBase(method, fresh, read) : []) fresh.set(name, value);
  for (const name of values.keys()) if (!fresh.has(name)) fresh.set(name, await read(name));
  return { ...assembly, values: fresh };
}

export interface FineTuneOutcome {
  readonly assembly: PeftModelState;
  readonly result: TrainResult;
}

/** Stage three. @returns the assembly with trained values; its base is the given one */
export async function fineTune(
  engine: Engine,
  assembly: PeftModelState,
  examples: readonly EncodedExample[],
  settings: Settings,
  watch: TrainCallbacks = {},
): Promise<FineTuneOutcome> {
  const classifier = toPeftModel(engine, assembly, [], objectiveOf(assembly, examples));
  try {
    const batches = trainingBatches(examples, assembly.base.config, settings);
    const result = await train(classifier, batches, trainOptions(settings, stepsOf(examples.length, settings), watch));
    return { assembly: { ...assembly, values: await classifier.parameters.read() }, result };
  } finally {
    classifier.parameters.free();
  }
}

export interface Evaluation {
  readonly inference: InferenceCost;
  readonly metrics: ScoreMetrics | LanguageMetrics;
}

/** Figures on labelled examples: accuracy and the like, or perplexity. */
export async function evaluate(
  engine: Engine,
  assembly: PeftModelState,
  examples: readonly EncodedExample[],
  { maxLength, ...answers }: { readonly maxLength: number } & Partial<AnswerOptions>,
): Promise<Evaluation> {
  const objective = objectiveOf(assembly, examples);
  const batches = inferenceBatches(assembly, examples, { maxLength });
  if (!objective.metrics) return evaluateLanguage(engine, assembly, batches);
  const classifier = toPeftModel(engine, assembly, [], objective);
  try {
    const scores: Float32Array[] = [];
    const inference = await inferEach(classifier, batches, (index, values) => (scores[index] = values.slice()));
    return { inference, metrics: objective.metrics(examples, scores, { ...ANSWER_DEFAULTS, ...answers }) };
  } finally {
    classifier.parameters.free();
  }
}

/** Scores of every example, for heads that read one token of each. */
export async function inferAll(
  engine: Engine,
  assembly: PeftModelState,
  examples: readonly EncodedExample[],
  options: { readonly maxLength: number },
): Promise<Inference> {
  const classifier = toPeftModel(engine, assembly);
  try {
    return await infer(classifier, inferenceBatches(assembly, examples, options), examples.length);
  } finally {
    classifier.parameters.free();
  }
}

function inferenceBatches(
  { base }: PeftModelState,
  examples: readonly EncodedExample[],
  { maxLength }: { readonly maxLength: number },
): DataLoader {
  const { padTokenId: padId } = base.config;
  return new DataLoader(examples, { batchSize: INFER_BATCH, order: 'length', seed: 0, padId, maxLength });
}
