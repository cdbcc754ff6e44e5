/**
 * Room: train. Trains a classifier's parameters: one program per batch shape holds forward, backward, clipping and update.
 * Pruning attaches through a `StepTransform` and never edits the loop.
 */
import { median } from 'simple-statistics';
import { memoryLowerBound } from '../engine/compile/memory-lower-bound.ts';
import type { CompileOptions, InputSpec, Program } from '../engine/compile/program.ts';
import type { Update } from '../engine/compile/graph.ts';
import type { HostArray, Traced } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { exists } from '../engine/io/files.ts';
import { AdamW, ADAMW_DEFAULTS, ADAMW_INPUTS } from '../engine/optim/adamw.ts';
import { scheduleAt, type ScheduleName } from '../engine/optim/schedule.ts';
import { add } from '../engine/ops/elementwise.ts';
import { loadCheckpoint, saveCheckpoint, type RunIdentity } from './checkpoint.ts';
import type { PeftModel, ForwardOptions } from '../peft-model/peft-model.ts';
import type { Variable } from '../engine/variable.ts';
import type { ConfigSelector } from '../kernels/config.ts';
import type { Batch } from '../data/data-loader.ts';
import { LossBuffer, SLOT_INPUT } from './loss-buffer.ts';
import { runSteps, type StepReport } from './loop.ts';
import { ProgramCache } from '../peft-model/programs.ts';

/** What a step is compiled for and fed with. */
export interface StepOptions {
  readonly steps: number;
  readonly lr: number;
  readonly schedule: ScheduleName;
  readonly warmupRatio: number;
  readonly weightDecay: number;
  /** Largest global gradient norm; 0 = off. */
  readonly clip: number;
  /** Of the dropout. */
  readonly seed: number;
  /** Whether PEFT modules drop out; their rate is their own. */
  readonly dropout: boolean;
  /** How the backward pass gets at what the forward pass computed. */
  readonly compile?: CompileOptions;
}

export interface TrainOptions extends StepOptions {
  /** Checkpoint file and steps between checkpoints (0 = only when interrupted); absent: none is written. */
  readonly checkpoint?: {
    readonly path: string;
    readonly every: number;
    readonly resume: boolean;
    readonly identity: RunIdentity;
  };
  readonly signal?: AbortSignal;
  readonly onReport?: (report: StepReport) => void;
}

/** Batches by place; `Batches` is one. */
export interface BatchSource {
  readonly perEpoch: number;
  at(epoch: number, index: number): Batch;
}

/** What an extension sees of a step's graph. */
export interface StepGraph {
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly gradients: ReadonlyMap<string, Tensor>;
  readonly parameter: (name: string) => Tensor;
}

/** Adds to every training step: masks, a penalty, accumulators. One instance serves all batch shapes. */
export interface StepTransform {
  /** Called once per trace, before the forward pass. */
  forward(): ForwardOptions;
  /** Added to the task's loss. */
  penalty(parameter: (name: string) => Tensor): Tensor;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  values(step: number): Readonly<Record<string, HostArray>>;
  /** Called after the backward pass of the same trace. */
  updates(graph: StepGraph): Update[];
  /** Saved with checkpoints. */
  readonly state: readonly Variable[];
}

export interface TrainResult {
  /** Per step: the whole objective, and the task's loss alone. */
  readonly loss: readonly number[];
  readonly taskLoss: readonly number[];
  readonly seconds: number;
  /** Real tokens, padding left out. */
  readonly tokens: number;
  /** Median over windows between read-backs, so that compilation and pauses do not count. */
  readonly tokensPerSecond: number;
  /** Most bytes allocated at any time of the run, and those of the largest step by kind. */
  readonly peakBytes: number;
  readonly memoryByKind: Readonly<Record<string, number>>;
  /** Bytes that the largest step cannot do without; see `memoryLowerBound`. */
  readonly boundBytes: number;
  /** Arena bytes in use at each dispatch of the largest step. */
  readonly timeline: readonly number[];
}

/** Losses kept on the device between two read-backs; more would delay the report, fewer would wait more often. */
const READ_EVERY = 16;

const RANDOM_INPUTS = { seed: { shape: [1], dtype: 'u32' }, step: { shape: [1], dtype: 'u32' } } as const;

/** @throws what `runSteps` throws; the checkpoint's own errors when resuming */
export async function train(
  classifier: PeftModel,
  batches: BatchSource,
  options: TrainOptions,
  transform?: StepTransform,
): Promise<TrainResult> {
  const { engine, parameters } = classifier;
  engine.arena.release();
  engine.memory.resetPeak();
  const steps = new TrainingSteps(classifier, options, transform);
  const { history, optimizer } = steps;
  const state = [...parameters.groups.map((g) => g.flat), ...optimizer.state, ...(transform?.state ?? [])];
  const { checkpoint } = options;
  const losses: number[] = [];
  const taskLosses: number[] = [];
  try {
    const resuming = checkpoint?.resume === true && (await exists(checkpoint.path));
    const past = resuming ? await loadCheckpoint(engine, checkpoint.path, checkpoint.identity, state) : undefined;
    const from = past?.step ?? 0;
    losses.push(...(past?.losses.loss ?? []));
    taskLosses.push(...(past?.losses.taskLoss ?? []));
    const enqueue = async (step: number): Promise<number> => {
      const batch = batches.at(Math.floor(step / batches.perEpoch), step % batches.perEpoch);
      const inputs = steps.inputs(step, batch);
      (await steps.program(batch, inputs)).run(inputs);
      return realTokens(batch);
    };
    const readLosses = async (first: number, to: number): Promise<number[]> => {
      const values = await history.read('loss', first, to);
      losses.push(...values);
      taskLosses.push(...(await history.read('task_loss', first, to)));
      return values;
    };
    const save = (next: number): Promise<void> =>
      saveCheckpoint(engine, checkpoint!.path, next, checkpoint!.identity, state, {
        loss: losses,
        taskLoss: taskLosses,
      });
    const rates: number[] = [];
    const onReport = (report: StepReport): void => {
      rates.push(report.tokensPerSecond);
      options.onReport?.(report);
    };
    const watch = { onReport, ...(options.signal && { signal: options.signal }) };
    const loop = { from, total: options.steps, readEvery: READ_EVERY, saveEvery: checkpoint?.every ?? 0, ...watch };
    const finished = (): Promise<unknown> => engine.finish();
    const timing = await runSteps(loop, { enqueue, finished, losses: readLosses, ...(checkpoint && { save }) });
    const largest = largestOf(steps.programs);
    return {
      loss: losses,
      taskLoss: taskLosses,
      ...timing,
      tokensPerSecond: rates.length > 0 ? median(rates) : 0,
      peakBytes: engine.memory.peak,
      memoryByKind: engine.memory.byKind(),
      boundBytes: largest ? memoryLowerBound(engine.memory.byKind(), largest) : 0,
      timeline: largest?.memory.timeline ?? [],
    };
  } finally {
    steps.dispose();
  }
}

/** The optimizer, the record of losses, and the programs by batch shape of one training run. */
export class TrainingSteps {
  readonly optimizer: AdamW;
  readonly history: LossBuffer;
  readonly #classifier: PeftModel;
  readonly #options: StepOptions;
  readonly #extension: StepTransform | undefined;
  readonly #programs: ProgramCache;

  constructor(classifier: PeftModel, options: StepOptions, extension?: StepTransform) {
    const { engine, parameters } = classifier;
    const { weightDecay, clip } = options;
    this.#classifier = classifier;
    this.#options = options;
    this.#extension = extension;
    this.optimizer = new AdamW(engine, parameters, { ...ADAMW_DEFAULTS, weightDecay, maxGradNorm: clip });
    this.history = new LossBuffer(engine, ['loss', 'task_loss'], READ_EVERY);
    this.#programs = new ProgramCache(engine, (batch, seq, selectConfig) =>
      compileStep(classifier, this.optimizer, this.history, options, extension, batch, seq, selectConfig),
    );
  }

  /** The step's program for batches of this shape, compiled when the shape is first met. @param inputs values to tune with */
  program(
    { batch, seq }: Pick<Batch, 'batch' | 'seq'>,
    inputs?: Readonly<Record<string, HostArray>>,
  ): Promise<Program> {
    return this.#programs.get(batch, seq, inputs);
  }

  /** Values of the program's inputs. @param step counts from 0 */
  inputs(step: number, batch: Batch): Record<string, HostArray> {
    const { lr, schedule, steps, warmupRatio, seed } = this.#options;
    return {
      ...this.#classifier.inputValues(batch),
      labels: batch.labels,
      ...this.optimizer.inputs(step + 1, lr * scheduleAt(schedule, step, steps, warmupRatio)),
      seed: Uint32Array.of(seed),
      step: Uint32Array.of(step),
      slot: this.history.slot(step),
      ...this.#extension?.values(step),
    };
  }

  get programs(): readonly Program[] {
    return this.#programs.all;
  }

  dispose(): void {
    this.#programs.dispose();
    this.optimizer.free();
    this.history.free();
  }
}

function realTokens({ attentionMask, count, seq }: Batch): number {
  let tokens = 0;
  for (let i = 0; i < count * seq; i++) tokens += attentionMask[i] as number;
  return tokens;
}

function largestOf(programs: readonly Program[]): Program | undefined {
  return [...programs].sort((a, b) => b.memory.activations - a.memory.activations)[0];
}

function compileStep(
  classifier: PeftModel,
  optimizer: AdamW,
  history: LossBuffer,
  options: StepOptions,
  extension: StepTransform | undefined,
  batch: number,
  seq: number,
  selectConfig?: ConfigSelector,
): Promise<Program> {
  const inputs = {
    ...classifier.inputSpecs(batch, seq),
    labels: classifier.labels(batch, seq),
    ...ADAMW_INPUTS,
    ...RANDOM_INPUTS,
    slot: SLOT_INPUT,
    ...extension?.inputs,
  } as const satisfies Record<string, InputSpec>;
  const parameter = (name: string): Tensor => classifier.parameters.get(name).tensor;
  const trace = (given: Readonly<Record<string, Tensor>>): Traced => {
    const i = given as Readonly<Record<keyof typeof inputs, Tensor>>;
    const random = options.dropout ? { random: { seed: i.seed, step: i.step } } : {};
    const taskLoss = classifier.loss(i, i.labels, { ...random, ...extension?.forward() });
    const loss = extension ? add(taskLoss, extension.penalty(parameter)) : taskLoss;
    const step = optimizer.step(loss, i);
    const more = extension?.updates({ inputs: i, gradients: step.gradients, parameter }) ?? [];
    return { updates: [...step.updates, ...history.record(i.slot, { loss, task_loss: taskLoss }), ...more] };
  };
  return classifier.engine.compile(`train ${batch}x${seq}`, inputs, trace, { ...options.compile, selectConfig });
}
