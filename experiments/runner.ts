/**
 * Room: experiments. Runs methods side by side on one task: PEFT without pruning, Light-PEFT, random pruning, each algorithm alone.
 * Every run leaves a folder, so that an interrupted comparison goes on where it stopped.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataSet } from '../data/source.ts';
import type { Engine } from '../engine/engine.ts';
import { exists } from '../engine/io/files.ts';
import { fullLayers, type ModelConfig } from '../models/architecture.ts';
import { randomBaseModel } from '../models/base-model.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { peftConfig } from '../peft/create-config.ts';
import { methodLabel } from '../peft/options.ts';
import { baseNormals, getPeftModel } from '../peft-model/create.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import { factorCount } from '../peft-model/state.ts';
import type { StateDict } from '../peft/module.ts';
import { decide, randomScores, type DecideOptions, type Decision } from '../pruning/decide.ts';
import { writeEstimate } from '../pruning/scores-file.ts';
import { METRICS, readRun, writeRun, type Run } from '../report/schema.ts';
import { estimate, estimateResult, type Estimate } from '../train/estimate.ts';
import { evaluate, type Evaluation } from '../train/evaluate.ts';
import { factsOf } from '../train/identity.ts';
import type { TrainerCallbacks } from '../train/options.ts';
import { stepsOf, train } from '../train/train.ts';
import type { TrainResult } from '../train/trainer.ts';
import { assertSameRun, writeIdentity } from './identity.ts';
import { estimateOptionsOf, flatOptions, type RunOptions } from './options.ts';

/** `reference` is PEFT without pruning; `random-init` is the same on a base of random weights, to show what pretraining gives. */
export const METHODS = ['reference', 'light-peft', 'random', 'foundation-only', 'peft-only', 'random-init'] as const;

export type MethodName = (typeof METHODS)[number];

export interface ExperimentCallbacks {
  /** Called before each piece of work. */
  readonly onStage?: ((title: string) => void) | undefined;
  readonly callbacks: Omit<TrainerCallbacks, 'checkpoint'>;
}

/** What a method is called in tables. */
function labelOf(method: MethodName, peft: RunOptions['peft']['method']): string {
  const plain = methodLabel(peft);
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
export function methodId(method: MethodName, peft: RunOptions['peft']['method']): string {
  if (method === 'reference') return peft;
  return method === 'random-init' ? `${peft}-random-init` : method;
}

/** Whether a method has an estimation, and prunes by it. */
export function prunes(method: MethodName): boolean {
  return method !== 'reference' && method !== 'random-init';
}

/** What an estimation leaves: the scores, and what factors and head learned. */
interface Estimated {
  readonly scores: Estimate;
  readonly values: StateDict;
}

/** One task on one base: remembers the estimation of each seed, which all pruned methods share. */
export class ExperimentRunner {
  readonly #engine: Engine;
  readonly #checkpoint: Checkpoint;
  readonly #data: DataSet;
  readonly #options: RunOptions;
  readonly #out: string;
  readonly #estimates = new Map<number, Estimated>();

  constructor(engine: Engine, checkpoint: Checkpoint, data: DataSet, options: RunOptions, out: string) {
    this.#engine = engine;
    this.#checkpoint = checkpoint;
    this.#data = data;
    this.#options = options;
    this.#out = out;
  }

  /** Runs a method with a seed, or reads what an earlier run of it left. */
  async run(method: MethodName, seed: number, watch: ExperimentCallbacks): Promise<Run> {
    const options = { ...this.#options, train: { ...this.#options.train, seed } };
    const folder = join(this.#out, methodId(method, options.peft.method), `seed-${seed}`);
    const file = join(folder, 'run.json');
    const identity = await this.#identity(options);
    if (await exists(file)) {
      await assertSameRun(join(folder, 'identity.json'), identity);
      return readRun(file);
    }
    const estimated = prunes(method) ? await this.#estimate(options, watch) : undefined;
    watch.onStage?.(`${this.#data.name} · ${labelOf(method, options.peft.method)} · seed ${seed}`);
    const run = await this.#measure(method, options, folder, estimated, watch.callbacks);
    await writeIdentity(join(folder, 'identity.json'), identity);
    await writeRun(file, run);
    return run;
  }

  async #measure(
    method: MethodName,
    options: RunOptions,
    folder: string,
    estimated: Estimated | undefined,
    callbacks: TrainerCallbacks,
  ): Promise<Run> {
    const whole = await this.#wholeModel(options, method === 'random-init', callbacks);
    const counts = { total: whole.base.parameterCount, blockTotal: whole.base.blockParameterCount };
    const trainableTotal = factorCount(whole.method);
    const decision = estimated && decisionOf(estimated.scores, options, method);
    const started = performance.now();
    using model = decision ? await pruned(whole, estimated.values, decision, options) : whole;
    const pruneSeconds = (performance.now() - started) / 1000;
    const steps = this.#budget(options, estimated !== undefined);
    const result = await train(model, this.#data.train, { ...options.train, ...callbacks, steps });
    const { metrics, inference } = await evaluate(model, this.#data.eval, options.data);
    const adapter = join(folder, 'adapter');
    await model.savePretrained(adapter);
    const { seed } = options.train;
    return {
      task: this.#data.name,
      method: methodId(method, options.peft.method),
      label: labelOf(method, options.peft.method),
      seed,
      metrics: scoresFrom(metrics),
      foundation: { ...counts, left: model.base.parameterCount, blockLeft: model.base.blockParameterCount },
      trainable: { total: trainableTotal, left: factorCount(model.method) },
      speed: {
        trainTokensPerSecond: result.tokensPerSecond,
        inferExamplesPerSecond: inference.examples / inference.seconds,
        estimateSeconds: estimated?.scores.result.seconds ?? 0,
        pruneSeconds: decision ? pruneSeconds : 0,
        trainSeconds: result.seconds,
        ...(result.secondsPerStep > 0 && { secondsPerStep: result.secondsPerStep }),
      },
      memory: {
        trainPeakBytes: result.peakBytes,
        inferPeakBytes: inference.peakBytes,
        byKind: { ...result.memoryByKind },
        trainBoundBytes: result.boundBytes,
      },
      artefactBytes: await folderBytes(adapter),
      curves: [
        ...(estimated ? [curve('estimate', estimated.scores.result.taskLoss)] : []),
        curve('train', result.taskLoss),
      ],
      ...(seed === 0 && { timeline: timelineOf(result) }),
      ...(decision && { plan: planPicture(this.#checkpoint.config, estimated.scores, decision, options, method) }),
    };
  }

  /** What the numbers of a run depend on. */
  async #identity(options: RunOptions): Promise<ReturnType<typeof factsOf>> {
    const { maxAnswerLength, allowEmptyAnswer, docStride, ...others } = flatOptions(options);
    return factsOf({
      ...others,
      ...(this.#data.head === 'question-answering' && { maxAnswerLength, allowEmptyAnswer, docStride }),
      base: await this.#checkpoint.fingerprint(),
      train: this.#data.train.length,
      eval: this.#data.eval.length,
    });
  }

  /** Every method sees the same number of steps: what the estimation took is added for methods without one. */
  #budget({ train: numbers, estimate: { estimateSteps } }: RunOptions, prunes: boolean): number {
    const steps = stepsOf(this.#data.train.length, numbers);
    return prunes ? steps : steps + estimateSteps;
  }

  async #wholeModel(options: RunOptions, random: boolean, { onBytes }: TrainerCallbacks): Promise<PeftModel> {
    const { head, labels } = this.#data;
    const { seed } = options.train;
    const { embeddings } = options.load;
    const base = random
      ? randomBaseModel(this.#engine, this.#checkpoint.config, baseNormals(seed), { embeddings, head })
      : this.#checkpoint;
    return getPeftModel(this.#engine, base, peftConfig(options.peft), { ...options.load, head, labels, seed, onBytes });
  }

  async #estimate(options: RunOptions, { onStage, callbacks }: ExperimentCallbacks): Promise<Estimated> {
    const { seed } = options.train;
    const known = this.#estimates.get(seed);
    if (known) return known;
    onStage?.(`${this.#data.name} · estimation · seed ${seed}`);
    using model = await this.#wholeModel(options, false, callbacks);
    const scores = await estimate(model, this.#data.train, { ...estimateOptionsOf(options), ...callbacks });
    const estimated = { scores, values: await model.stateDict() };
    this.#estimates.set(seed, estimated);
    const path = join(this.#out, 'estimate', `seed-${seed}`, 'records.json');
    await writeEstimate(path, estimateResult(scores, await this.#checkpoint.fingerprint()));
    return estimated;
  }
}

/** The decision of a method; a part that it does not prune keeps everything. */
export function decisionOf(
  scores: Parameters<typeof decide>[0],
  { decide: options, train: { seed } }: Pick<RunOptions, 'decide' | 'train'>,
  method: MethodName,
): Decision {
  const foundation: DecideOptions = method === 'peft-only' ? { heads: 0, neurons: 0 } : {};
  const peft: DecideOptions = method === 'foundation-only' ? { modules: 0, ranks: 0 } : {};
  const all = { ...options, ...foundation, ...peft };
  return method === 'random' ? decide(randomScores(scores, seed), all, 'random') : decide(scores, all);
}

function pruned(whole: PeftModel, values: StateDict, decision: Decision, options: RunOptions): Promise<PeftModel> {
  whole.loadStateDict(values);
  return whole.prune(decision, { ...options.slice, seed: options.train.seed });
}

function scoresFrom(metrics: Evaluation['metrics']): Run['metrics'] {
  const all: Partial<Record<string, unknown>> = { ...metrics };
  const scores = METRICS.filter((name) => all[name] !== undefined).map((name) => [name, all[name]] as const);
  return { ...(Object.fromEntries(scores) as Omit<Run['metrics'], 'loss'>), loss: metrics.loss };
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

function planPicture(
  config: ModelConfig,
  scores: Estimate,
  plan: Decision,
  options: RunOptions,
  method: MethodName,
): NonNullable<Run['plan']> {
  const { layers } = plan;
  const beforeRanks = decisionOf(scores, { ...options, decide: { ...options.decide, ranks: 0 } }, method).modules;
  return {
    layers: fullLayers(config).map(({ heads, neurons }, i) => ({
      heads,
      keptHeads: [...(layers[i]?.heads ?? [])],
      neurons,
      keptNeurons: [...(layers[i]?.neurons ?? [])],
    })),
    modules: Object.entries(scores.modules).map(([name, importance]) => {
      const left = plan.modules[name];
      const ranks = (scores.ranks[name] ?? []).map((score, i) => ({
        importance: score,
        kept: left?.kept.includes(i) ?? false,
      }));
      const lostBy = name in beforeRanks ? ('ranks' as const) : ('importance' as const);
      return { name, importance, kept: left !== undefined, ranks, ...(!left && { lostBy }) };
    }),
  };
}

async function folderBytes(dir: string): Promise<number> {
  const names = await readdir(dir);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(dir, name))).size));
  return sizes.reduce((a, b) => a + b, 0);
}
