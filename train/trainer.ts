/**
 * Room: train. Trains parameters on a loss: one program per batch shape holds forward, backward, clipping and update. A `StepTransform`
 * adds to the step, as masks do; the loop is never edited. What is trained, a model or a corpus, comes in as a `TrainingLoss`.
 */
import { median } from 'simple-statistics';
import { TooLargeError } from '../engine/compile/limits.ts';
import { memoryLowerBound } from '../engine/compile/memory-lower-bound.ts';
import type { Program } from '../engine/compile/program.ts';
import type { Engine, HostArray, Traced } from '../engine/engine.ts';
import { option, UserError } from '../engine/errors.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { AdamW, ADAMW_DEFAULTS, ADAMW_INPUTS } from '../engine/optim/adamw.ts';
import { scheduleAt, type Schedule } from '../engine/optim/schedule.ts';
import { add } from '../engine/ops/elementwise.ts';
import type { RandomState } from '../engine/ops/elementwise.ts';
import { ProgramCache, type BatchShape, type ProgramSource } from '../engine/program-cache.ts';
import type { Variable } from '../engine/variable.ts';
import { Listeners } from './listeners.ts';
import { LossBuffer, SLOT_INPUT } from './loss-buffer.ts';
import { MicroBatchSteps } from './micro-batches.ts';
import type { EvaluationRecord, StepRecord } from './callbacks.ts';
import type { EvaluationPlan } from './evaluation-plan.ts';
import type { KeptAdapters } from './kept-adapters.ts';
import { runSteps, type LoopBody } from './loop.ts';
import { Past } from './past.ts';
import type { TrainerCallbacks } from './options.ts';
import { RANDOM_INPUTS, type Inputs, type OptimizationOptions, type StepTransform, type TrainingLoss } from './step.ts';

/** Batches by place; a `DataLoader` is one. */
export interface BatchSource<B extends BatchShape> {
  readonly perEpoch: number;
  /** The batch at a place, counted from 0; random access. */
  at(epoch: number, index: number): B;
}

/** The best evaluation of a run. */
export interface BestEvaluation {
  readonly step: number;
  /** The figure that tells the best, and its value. */
  readonly metric: string;
  readonly value: number;
  /** Whether the run ended with its weights. */
  readonly isLoaded: boolean;
}

/** What happens between steps. */
export interface TrainingRunOptions extends OptimizationOptions {
  /** Steps between two checkpoints; 0 = every two minutes. */
  readonly saveEvery?: number;
  readonly evaluation?: EvaluationPlan | undefined;
  /** Where adapters of the way are kept. */
  readonly kept?: KeptAdapters | undefined;
}

/** How a run went. Losses are of single steps, bytes of the device. */
export interface TrainResult {
  readonly steps: number;
  /** Per step: the whole objective, and the task's loss alone. */
  readonly loss: readonly number[];
  readonly taskLoss: readonly number[];
  /** Those during training, in order; none where none were asked for. */
  readonly evaluations: readonly EvaluationRecord[];
  /** The best of them by a figure, and whether the weights are those that it was measured with. */
  readonly best?: BestEvaluation | undefined;
  /** Of steps; without evaluations and checkpoints. */
  readonly seconds: number;
  /** Real tokens, padding left out. */
  readonly tokens: number;
  /** Median over windows between read-backs, so that compilation and pauses do not count. */
  readonly tokensPerSecond: number;
  /** Of a step with a step's mean number of tokens at that speed; 0 where none was taken. */
  readonly secondsPerStep: number;
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

/**
 * Runs steps, from a checkpoint on where there is one to resume from.
 * @throws what `runSteps` throws; the checkpoint's own errors when resuming
 */
export async function runTraining<B extends BatchShape>(
  training: TrainingLoss<B>,
  batches: BatchSource<B>,
  options: TrainingRunOptions,
  { signal, onReport, checkpoint, callbacks }: TrainerCallbacks = {},
  transform?: StepTransform,
): Promise<TrainResult> {
  const { engine } = training;
  const { saveEvery = 0, evaluation, kept } = options;
  const listeners = new Listeners(callbacks);
  const steps = new TrainingSteps(training, options, transform, listeners.hearSteps);
  const isDue = (step: number): boolean => evaluation?.isDue(step, batches.perEpoch) ?? false;
  try {
    const past = new Past(steps, checkpoint, evaluation, transform?.memory);
    const from = await past.restore();
    let isOver = false;
    await kept?.begin(from);
    await listeners.begin(from, options.steps);
    const body: LoopBody = {
      enqueue: async (step) => {
        const batch = batches.at(Math.floor(step / batches.perEpoch), step % batches.perEpoch);
        await steps.run(step, batch);
        isOver = (await transform?.afterStep?.(step + 1)) === 'stop';
        return training.tokens(batch);
      },
      isOver: () => isOver,
      finished: () => engine.finish(),
      losses: (first, to) => past.read(first, to),
      settled: (first, to) => listeners.steps(() => steps.records(past, first, to, batches.perEpoch)),
      evaluation: evaluation && {
        isDue,
        isSaved: evaluation.loadsBest || kept !== undefined,
        isDone: (step) => past.isEvaluated(step),
        run: async (step) => {
          const isStopped = await listeners.evaluation(await past.evaluate(step, step / batches.perEpoch, signal));
          return isStopped || past.evaluations!.isOver;
        },
      },
      save:
        checkpoint &&
        (async (next, timing) => {
          const isKept = isDue(next) ? past.isEvaluated(next) : next % saveEvery === 0;
          if (isKept) await kept?.keep(next, past.evaluations?.best?.step);
          await past.save(next, timing);
          await listeners.save(next);
        }),
    };
    const { value: timing, peakBytes } = await engine.measurePeak(() =>
      runSteps(
        {
          from,
          total: options.steps,
          readEvery: READ_EVERY,
          saveEvery,
          saveSeconds: checkpoint?.everySeconds,
          resumes: checkpoint?.resume === 'always',
          signal,
          onReport: (report) => {
            past.rates.push(report.tokensPerSecond);
            onReport?.(report);
          },
        },
        body,
      ),
    );
    past.loadBest();
    const tokens = past.tokens + timing.tokens;
    const tokensPerSecond = past.rates.length > 0 ? median(past.rates) : 0;
    return {
      steps: timing.steps,
      loss: past.loss,
      taskLoss: past.taskLoss,
      ...evaluationsOf(past, evaluation),
      seconds: past.seconds + timing.seconds,
      tokens,
      tokensPerSecond,
      secondsPerStep: tokensPerSecond > 0 ? tokens / timing.steps / tokensPerSecond : 0,
      peakBytes,
      ...memoryOf(engine, steps.programs),
    };
  } finally {
    steps.dispose();
    await listeners.end();
  }
}

function evaluationsOf(
  { evaluations }: Past,
  plan: EvaluationPlan | undefined,
): Pick<TrainResult, 'evaluations' | 'best'> {
  const best = evaluations?.best;
  return {
    evaluations: evaluations?.records ?? [],
    ...(plan && best && { best: { ...best, metric: plan.by.metric, isLoaded: plan.loadsBest } }),
  };
}

/** The optimizer, the record of losses, and the programs by batch shape of one training run. */
export class TrainingSteps<B extends BatchShape> implements Disposable {
  readonly engine: Engine;
  readonly optimizer: AdamW;
  readonly losses: LossBuffer;
  readonly #training: TrainingLoss<B>;
  readonly #options: OptimizationOptions;
  readonly #transform: StepTransform | undefined;
  readonly #programs: ProgramCache;
  readonly #microBatches: MicroBatchSteps<B>;

  /** @param recordsNorm whether the gradients' norm is kept beside the losses */
  constructor(training: TrainingLoss<B>, options: OptimizationOptions, transform?: StepTransform, recordsNorm = false) {
    const { engine, parameters } = training;
    this.engine = engine;
    this.#training = training;
    this.#options = options;
    this.#transform = transform;
    const { beta1, beta2, eps, weightDecay, maxGradNorm } = { ...ADAMW_DEFAULTS, ...options };
    this.optimizer = new AdamW(engine, parameters, { beta1, beta2, eps, weightDecay, maxGradNorm });
    this.losses = new LossBuffer(engine, ['loss', 'task_loss', ...(recordsNorm ? ['grad_norm'] : [])], READ_EVERY);
    this.#programs = new ProgramCache(engine, (shape) => this.#source(shape));
    this.#microBatches = new MicroBatchSteps(training, options, this, transform);
  }

  /** Enqueues a step: one program, or where the device cannot hold that, micro-batches and an update. @param step counts from 0 */
  async run(step: number, batch: B): Promise<void> {
    const inputs = this.inputs(step, batch);
    const microBatches = this.#microBatches;
    const { accumulation = 1 } = this.#options;
    if (accumulation > 1 && !microBatches.has(batch)) await microBatches.divide(batch, inputs, accumulation);
    if (microBatches.has(batch)) return microBatches.run(batch, inputs);
    try {
      (await this.program(batch, inputs)).run(inputs);
    } catch (error) {
      if (!(error instanceof TooLargeError) || error.isResident) throw error;
      if (!this.#training.split) throw new UserError(`${error.message}: lower ${option('batchSize')}`);
      await microBatches.fit(batch, inputs, error);
      await microBatches.run(batch, inputs);
    }
  }

  /** The step's program for batches of this shape, compiled when the shape is first met. @param inputs values to tune with */
  program(shape: BatchShape, inputs?: Inputs): Promise<Program> {
    return this.#programs.get(shape, inputs);
  }

  /** Values of the program's inputs. @param step counts from 0 */
  inputs(step: number, batch: B): Record<string, HostArray> {
    const { dropoutSeed = 0 } = this.#options;
    return {
      ...this.#training.inputs(batch),
      ...this.optimizer.inputs(step + 1, this.#lrAt(step)),
      seed: Uint32Array.of(dropoutSeed),
      step: Uint32Array.of(step),
      slot: this.losses.slot(step),
      ...this.#transform?.values(step),
    };
  }

  #lrAt(step: number): number {
    return this.#options.lr * scheduleAt(scheduleOf(this.#options), step);
  }

  /** What there is to tell of steps from … to − 1, the latest. @param past their losses, with those of all before */
  async records(
    { loss, taskLoss }: Pick<TrainResult, 'loss' | 'taskLoss'>,
    from: number,
    to: number,
    perEpoch: number,
  ): Promise<StepRecord[]> {
    const norms = await this.losses.read('grad_norm', from, to);
    return norms.map((gradNorm, i) => {
      const at = from + i;
      const step = at + 1;
      return { step, epoch: step / perEpoch, loss: loss[at]!, taskLoss: taskLoss[at]!, lr: this.#lrAt(at), gradNorm };
    });
  }

  /** What is trained. */
  get weights(): readonly Variable[] {
    return this.#training.parameters.groups.map(({ flat }) => flat);
  }

  /** Everything a checkpoint holds. */
  get state(): readonly Variable[] {
    return [...this.weights, ...this.optimizer.state, ...(this.#transform?.state ?? [])];
  }

  get programs(): readonly Program[] {
    return [...this.#programs.all, ...this.#microBatches.programs];
  }

  dispose(): void {
    this.#programs.dispose();
    this.#microBatches.dispose();
    this.optimizer.free();
    this.losses.free();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #source(shape: BatchShape): ProgramSource {
    const { parameters, name, specs } = this.#training;
    const inputs = { ...specs(shape), ...ADAMW_INPUTS, ...RANDOM_INPUTS, slot: SLOT_INPUT, ...this.#transform?.inputs };
    const parameter = (key: string): Tensor => parameters.get(key).tensor;
    const trace = (given: Readonly<Record<string, Tensor>>): Traced => {
      const i = given as typeof given & Readonly<Record<keyof typeof ADAMW_INPUTS | 'seed' | 'step' | 'slot', Tensor>>;
      const random: RandomState | undefined =
        this.#options.dropoutSeed === undefined ? undefined : { seed: i.seed, step: i.step };
      const taskLoss = this.#training.loss(i, { random, ...this.#transform?.forward() });
      const loss = this.#transform ? add(taskLoss, this.#transform.penalty(parameter)) : taskLoss;
      const step = this.optimizer.step(loss, i);
      const more = this.#transform?.updates({ inputs: i, gradients: step.gradients, parameter }) ?? [];
      const losses = { loss, task_loss: taskLoss, grad_norm: step.norm };
      return { updates: [...step.updates, ...this.losses.record(i.slot, losses), ...more] };
    };
    return { name: `${name} ${shape.batch}x${shape.seq}`, inputs, trace, options: this.#options.compile };
  }
}

function scheduleOf(options: OptimizationOptions): Schedule {
  const { schedule: name, steps: total, warmupRatio, numCycles: cycles, power, lr, lrEnd } = options;
  const { warmupSteps: warmup = Math.ceil(total * warmupRatio) } = options;
  return { name, total, warmup, cycles, power, end: lrEnd === undefined ? undefined : lrEnd / lr };
}

function memoryOf(
  { memory }: Engine,
  programs: readonly Program[],
): Pick<TrainResult, 'memoryByKind' | 'boundBytes' | 'timeline'> {
  const [largest] = [...programs].sort((a, b) => b.memory.activations - a.memory.activations);
  const memoryByKind = memory.byKind();
  return {
    memoryByKind,
    boundBytes: largest ? memoryLowerBound(memoryByKind, largest) : 0,
    timeline: largest?.memory.timeline ?? [],
  };
}
