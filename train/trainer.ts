/**
 * Room: train. Trains parameters on a loss: one program per batch shape holds forward, backward, clipping and update. A `StepTransform`
 * adds to the step, as masks do; the loop is never edited. What is trained, a model or a corpus, comes in as a `TrainingLoss`.
 */
import { median } from 'simple-statistics';
import { memoryLowerBound } from '../engine/compile/memory-lower-bound.ts';
import type { Program } from '../engine/compile/program.ts';
import type { Engine } from '../engine/engine.ts';
import type { BatchShape } from '../engine/program-cache.ts';
import type { InferenceCost } from './evaluate.ts';
import type { EvaluationRecord } from './callbacks.ts';
import type { EvaluationPlan } from './evaluation-plan.ts';
import type { KeptAdapters } from './kept-adapters.ts';
import { Listeners } from './listeners.ts';
import { runSteps, type LoopBody } from './loop.ts';
import { READ_EVERY } from './optimization.ts';
import type { TrainerCallbacks } from './options.ts';
import { Past } from './past.ts';
import type { RunSteps } from './run-steps.ts';
import type { OptimizationOptions, StepTransform, TrainingLoss } from './step.ts';
import { TrainingSteps } from './training-steps.ts';

/** Batches by place; a `DataLoader` is one. */
export interface BatchSource<B> {
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
  /** What a teacher's passes took before the first step, which is not among `seconds`; absent without one, or where it is not known. */
  readonly teacher?: InferenceCost | undefined;
  /** Most bytes allocated at any time of the run and of a teacher's passes, and those of the largest step by kind. */
  readonly peakBytes: number;
  readonly memoryByKind: Readonly<Record<string, number>>;
  /** Bytes that the largest step cannot do without; see `memoryLowerBound`. */
  readonly boundBytes: number;
  /** Arena bytes in use at each dispatch of the largest step. */
  readonly timeline: readonly number[];
}

/**
 * Runs steps, from a checkpoint on where there is one to resume from.
 * @throws what `runSteps` throws; the checkpoint's own errors when resuming
 */
export async function runTraining<B extends BatchShape>(
  training: TrainingLoss<B>,
  batches: BatchSource<B>,
  options: TrainingRunOptions,
  callbacks: TrainerCallbacks = {},
  transform?: StepTransform,
): Promise<TrainResult> {
  const stepsOf = (isHeard: boolean): RunSteps<B> => new TrainingSteps(training, options, transform, isHeard);
  return runStepsOf(stepsOf, batches, options, callbacks, transform);
}

/**
 * As `runTraining`, for steps of any kind.
 * @param stepsOf makes them; is told whether their records are asked for
 */
export async function runStepsOf<B>(
  stepsOf: (isHeard: boolean) => RunSteps<B>,
  batches: BatchSource<B>,
  options: TrainingRunOptions,
  { signal, onReport, checkpoint, callbacks }: TrainerCallbacks,
  transform?: StepTransform,
): Promise<TrainResult> {
  const { saveEvery = 0, evaluation, kept } = options;
  const listeners = new Listeners(callbacks);
  const steps = stepsOf(listeners.hearSteps);
  const { engine } = steps;
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
        return steps.tokens(batch);
      },
      isOver: () => isOver,
      finished: () => engine.finish(),
      losses: (first, to) => past.read(first, to),
      settled: async (first, to) => {
        await steps.settled?.(first, to);
        return listeners.steps(() => steps.records(past, first, to, batches.perEpoch));
      },
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
    steps[Symbol.dispose]();
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
