/**
 * Room: experiments. Runs methods side by side on one task: PEFT without pruning, Light-PEFT, random pruning, each algorithm alone.
 * Every run leaves a folder, so that an interrupted comparison goes on where it stopped.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../engine/engine.ts';
import { exists } from '../engine/io/files.ts';
import { fullLayers, type ModelConfig } from '../models/architecture.ts';
import { loadBaseModel, randomBaseModel } from '../models/base-model.ts';
import { keptLayers } from '../train/stages.ts';
import type { Plan } from '../pruning/plan.ts';
import { scoresOf, writeEstimate, type EstimateResult } from '../pruning/scores-file.ts';
import { saveState } from '../peft-model/pretrained.ts';
import { factorCount, createState, initMissingWeights, type PeftModelState } from '../peft-model/assembly.ts';
import { hostRandom, STREAM } from '../engine/random.ts';
import { createConfig } from '../peft/create-config.ts';
import type { DataSet } from '../data/source.ts';
import { METRICS, readRun, writeRun, type Run } from '../report/schema.ts';
import { assertSameRun, writeIdentity } from './identity.ts';
import {
  estimate,
  evaluate,
  fineTune,
  makePlan,
  prune,
  stepsOf,
  type EstimateOutcome,
  type Evaluation,
  type Method,
  type TrainCallbacks,
} from '../train/stages.ts';
import type { Settings } from '../train/settings.ts';
import type { TrainResult } from '../train/trainer.ts';

/** `reference` is PEFT without pruning; `random-init` is the same on a base of random weights, to show what pretraining gives. */
export const METHODS = ['reference', 'light-peft', 'random', 'foundation-only', 'peft-only', 'random-init'] as const;

export type MethodName = (typeof METHODS)[number];

/** A base checkpoint as the stages need it. */
export interface Foundation {
  readonly dir: string;
  readonly config: ModelConfig;
  readonly fingerprint: string;
}

export interface CompareWatch {
  /** Called before each piece of work. */
  readonly onStage?: (title: string) => void;
  readonly watch: TrainCallbacks;
}

/** What a method is called in tables. */
function methodLabel(method: MethodName, peft: Settings['peft']): string {
  const plain = peft === 'lora' ? 'LoRA' : 'Adapters';
  const labels: Record<MethodName, string> = {
    reference: `${plain}, no pruning`,
    'light-peft': 'Light-PEFT',
    random: 'Random pruning',
    'foundation-only': 'Foundation only',
    'peft-only': 'PEFT only',
    'random-init': `${plain}, random base`,
  };
  return labels[method];
}

/** The identifier of a method in `comparison.json`. */
export function methodId(method: MethodName, peft: Settings['peft']): string {
  if (method === 'reference') return peft;
  return method === 'random-init' ? `${peft}-random-init` : method;
}

/** One task on one base: remembers the estimation of each seed, which all pruned methods share. */
export class ExperimentRunner {
  readonly #engine: Engine;
  readonly #foundation: Foundation;
  readonly #data: DataSet;
  readonly #settings: Settings;
  readonly #out: string;
  readonly #estimates = new Map<number, EstimateOutcome>();

  constructor(engine: Engine, foundation: Foundation, data: DataSet, settings: Settings, out: string) {
    this.#engine = engine;
    this.#foundation = foundation;
    this.#data = data;
    this.#settings = settings;
    this.#out = out;
  }

  /** Runs a method with a seed, or reads what an earlier run of it left. */
  async run(method: MethodName, seed: number, { onStage, watch }: CompareWatch): Promise<Run> {
    const settings = { ...this.#settings, seed };
    const folder = join(this.#out, methodId(method, settings.peft), `seed-${seed}`);
    const file = join(folder, 'run.json');
    const { maxAnswerLength, allowEmptyAnswer, docStride, ...others } = settings;
    const identity = {
      ...others,
      ...(this.#data.head === 'question-answering' && { maxAnswerLength, allowEmptyAnswer, docStride }),
      base: this.#foundation.fingerprint,
      train: this.#data.train.length,
      eval: this.#data.eval.length,
    };
    if (await exists(file)) {
      await assertSameRun(join(folder, 'identity.json'), identity);
      return readRun(file);
    }
    const title = `${this.#data.name} · ${methodLabel(method, settings.peft)} · seed ${seed}`;
    const prunes = method !== 'reference' && method !== 'random-init';
    const estimated = prunes ? await this.#estimate(settings, { ...(onStage && { onStage }), watch }) : undefined;
    onStage?.(title);
    const whole = await this.#wholeAssembly(settings, method === 'random-init', watch);
    const counts = { total: whole.base.parameterCount, blockTotal: whole.base.blockParameterCount };
    const trainableTotal = factorCount(whole.method);
    const plan = estimated && this.#plan(estimated, settings, method as Method);
    const started = performance.now();
    const start =
      estimated && plan ? await prune(this.#engine, { ...whole, values: estimated.values }, plan, settings) : whole;
    const pruneSeconds = (performance.now() - started) / 1000;
    const tuned = await fineTune(this.#engine, start, this.#data.train, this.#budget(settings, prunes), watch);
    const evaluated = await evaluate(this.#engine, tuned.assembly, this.#data.eval, settings);
    await saveState(join(folder, 'adapter'), tuned.assembly, plan ? { plan } : {});
    const { base } = tuned.assembly;
    const run: Run = {
      task: this.#data.name,
      method: methodId(method, settings.peft),
      label: methodLabel(method, settings.peft),
      seed,
      metrics: scoresFrom(evaluated.metrics),
      foundation: { ...counts, left: base.parameterCount, blockLeft: base.blockParameterCount },
      trainable: { total: trainableTotal, left: factorCount(tuned.assembly.method) },
      speed: {
        trainTokensPerSecond: tuned.result.tokensPerSecond,
        inferExamplesPerSecond: evaluated.inference.examples / evaluated.inference.seconds,
        estimateSeconds: estimated?.result.seconds ?? 0,
        pruneSeconds: plan ? pruneSeconds : 0,
        trainSeconds: tuned.result.seconds,
      },
      memory: {
        trainPeakBytes: tuned.result.peakBytes,
        inferPeakBytes: evaluated.inference.peakBytes,
        byKind: { ...tuned.result.memoryByKind },
        trainBoundBytes: tuned.result.boundBytes,
      },
      artefactBytes: await folderBytes(join(folder, 'adapter')),
      curves: [
        ...(estimated ? [curve('estimate', estimated.result.taskLoss)] : []),
        curve('train', tuned.result.taskLoss),
      ],
      ...(seed === 0 && { timeline: timelineOf(tuned.result) }),
      ...(estimated && plan && { plan: planPicture(this.#foundation.config, estimated, plan) }),
    };
    base.free();
    await writeIdentity(join(folder, 'identity.json'), identity);
    await writeRun(file, run);
    return run;
  }

  /** Every method sees the same number of steps: what the estimation took is added for methods without one. */
  #budget(settings: Settings, prunes: boolean): Settings {
    const steps = stepsOf(this.#data.train.length, settings);
    return { ...settings, steps: prunes ? steps : steps + settings.estimateSteps };
  }

  async #wholeAssembly(settings: Settings, random: boolean, { onBytes }: TrainCallbacks): Promise<PeftModelState> {
    const { dir, config } = this.#foundation;
    const { head, labels } = this.#data;
    const { weights: weightType, embeddings } = settings;
    const initMissing = initMissingWeights(config, settings.seed);
    const options = { weightType, embeddings, head, initMissing, ...(onBytes && { onBytes }) };
    const base = random
      ? randomBaseModel(this.#engine, config, normals(settings.seed), { embeddings, head })
      : await loadBaseModel(this.#engine, dir, options);
    const peft = createConfig(settings, config, head);
    return createState(this.#engine, base, peft, head, labels, settings.seed);
  }

  async #estimate(settings: Settings, { onStage, watch }: CompareWatch): Promise<EstimateOutcome> {
    const known = this.#estimates.get(settings.seed);
    if (known) return known;
    onStage?.(`${this.#data.name} · estimation · seed ${settings.seed}`);
    const assembly = await this.#wholeAssembly(settings, false, watch);
    const outcome = await estimate(this.#engine, assembly, this.#data.train, settings, watch);
    assembly.base.free();
    this.#estimates.set(settings.seed, outcome);
    const path = join(this.#out, 'estimate', `seed-${settings.seed}`, 'records.json');
    await writeEstimate(path, estimateResult(outcome, this.#foundation.fingerprint, settings));
    return outcome;
  }

  #plan(outcome: EstimateOutcome, settings: Settings, method: Method): Plan {
    const { config, fingerprint } = this.#foundation;
    const scores = scoresOf(estimateResult(outcome, fingerprint, settings));
    return makePlan(config, fingerprint, scores, settings, method);
  }
}

/** The content of `records.json`. */
export function estimateResult(
  { estimates, result }: EstimateOutcome,
  fingerprint: string,
  settings: Settings,
): Omit<EstimateResult, 'format' | 'version'> {
  return {
    base: fingerprint,
    steps: settings.estimateSteps,
    counted_steps: estimates.countedSteps,
    seed: settings.seed,
    non_finite_samples: estimates.nonFinite,
    loss: [...result.loss],
    task_loss: [...result.taskLoss],
    head_masks: estimates.headMasks.map((row) => [...row]),
    ffn_masks: estimates.ffnMasks.map((row) => [...row]),
    module_importance: estimates.modules,
    rank_importance: estimates.ranks,
  };
}

function scoresFrom(metrics: Evaluation['metrics']): Run['metrics'] {
  const all: Partial<Record<string, unknown>> = { ...metrics };
  const scores = METRICS.filter((name) => all[name] !== undefined).map((name) => [name, all[name]] as const);
  return { ...(Object.fromEntries(scores) as Omit<Run['metrics'], 'loss'>), loss: metrics.loss };
}

function normals(seed: number): () => number {
  const random = hostRandom(seed, STREAM.weights, 3);
  return () => random.normal();
}

function curve(phase: 'estimate' | 'train', loss: readonly number[]): Run['curves'][number] {
  return { phase, step: loss.map((_, i) => i), loss: [...loss] };
}

/** Resident kinds are constant over a step; the arena's use is what varies. */
function timelineOf({ memoryByKind, timeline }: TrainResult): NonNullable<Run['timeline']> {
  const resident = Object.keys(memoryByKind).filter((kind) => kind !== 'activations');
  const fixed = resident.map((kind) => memoryByKind[kind] ?? 0);
  return { labels: [...resident, 'activations'], points: timeline.map((bytes) => [...fixed, bytes]) };
}

function planPicture(config: ModelConfig, { estimates }: EstimateOutcome, plan: Plan): NonNullable<Run['plan']> {
  const layers = keptLayers(plan);
  return {
    layers: fullLayers(config).map(({ heads, neurons }, i) => ({
      heads,
      keptHeads: [...(layers[i]?.heads ?? [])],
      neurons,
      keptNeurons: [...(layers[i]?.neurons ?? [])],
    })),
    modules: Object.entries(estimates.modules).map(([name, importance]) => {
      const kept = new Set(plan.modules[name]?.kept ?? []);
      const ranks = (estimates.ranks[name] ?? []).map((score, i) => ({ importance: score, kept: kept.has(i) }));
      return { name, importance, kept: kept.size > 0, ranks };
    }),
  };
}

async function folderBytes(dir: string): Promise<number> {
  const names = await readdir(dir);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(dir, name))).size));
  return sizes.reduce((a, b) => a + b, 0);
}
