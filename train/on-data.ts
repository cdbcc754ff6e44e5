/** Room: train. A run on a model's data: one set of examples, or several tasks'. */
import { distilledObjective, TaughtExamples, type Distillation } from '../data/distillation.ts';
import type { Examples } from '../data/example-store.ts';
import { objectiveOf } from '../data/objective.ts';
import { arePacked } from '../data/packing.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import type { GradientControl } from './gradient-control/control.ts';
import { gradientLayers } from './gradient-control/layers.ts';
import { controlsOf, oneTask } from './gradient-control/options.ts';
import { trainingBatches, trainingLoss } from './model-loss.ts';
import type { StepOptions, TrainerCallbacks } from './options.ts';
import type { StepTransform, TrainingLoss } from './step.ts';
import type { Batch } from '../data/data-loader.ts';
import { mixedBatchSizes, TaskBatches } from './task-batches.ts';
import { TaskSteps } from './task-steps.ts';
import { runStepsOf, runTraining, type TrainingRunOptions, type TrainResult } from './trainer.ts';

/** Examples of one set, or of several tasks by name. */
export type TrainingData = Examples | ReadonlyMap<string, Examples>;

/** The run that is asked for. */
export interface DataRun {
  readonly options: StepOptions;
  /** In place of the strategy that the options name. */
  readonly control?: readonly GradientControl[] | undefined;
  readonly how: TrainingRunOptions;
  readonly callbacks: TrainerCallbacks;
  readonly transform?: StepTransform;
  /** What a teacher says of the examples of one set. */
  readonly distillation?: Distillation | undefined;
}

/** Runs steps on data. @throws UserError for a strategy without several tasks */
export function runOnData(model: PeftModel, data: TrainingData, run: DataRun): Promise<TrainResult> {
  const { options, how, callbacks, transform, control = controlsOf(options) } = run;
  const tasks = tasksOf(data);
  const lossOf = (of: PeftModel, examples: Examples): TrainingLoss<Batch> =>
    trainingLoss(of, objectiveOf(of, examples, options), arePacked(examples));
  const [only] = tasks;
  if (only && tasks.length === 1) {
    if (control.length > 0) throw oneTask();
    const { examples, training } = run.distillation
      ? taught(model, only.examples, options, run.distillation)
      : { examples: only.examples, training: lossOf(model, only.examples) };
    return runTraining(training, trainingBatches(model, examples, options), how, callbacks, transform);
  }
  const { batchSize, taskMix = 'equal' } = options;
  const sizes = mixedBatchSizes(sizesOf(data), batchSize, taskMix);
  const sources = tasks.map(({ examples }, i) => trainingBatches(model, examples, options, sizes[i]));
  const losses = tasks.map(({ name, examples }) => ({ name, training: lossOf(model.forTask(name), examples) }));
  const controlled = { controls: control, layers: gradientLayers(model), seed: options.seed };
  return runStepsOf(
    () => new TaskSteps(losses, controlled, how, transform),
    new TaskBatches(sources),
    how,
    callbacks,
    transform,
  );
}

/** The loss by labels and teacher, and the examples with what the teacher says. */
function taught(
  model: PeftModel,
  plain: Examples,
  options: StepOptions,
  distillation: Distillation,
): { readonly examples: Examples; readonly training: TrainingLoss<Batch> } {
  const width = distillation.logits.length / plain.length;
  const objective = distilledObjective(objectiveOf(model, plain, options), width, distillation);
  return { examples: new TaughtExamples(plain, distillation), training: trainingLoss(model, objective) };
}

interface TaskExamples {
  readonly name: string;
  readonly examples: Examples;
}

function tasksOf(data: TrainingData): readonly TaskExamples[] {
  if (!(data instanceof Map)) return [{ name: 'train', examples: data as Examples }];
  return [...(data as ReadonlyMap<string, Examples>)].map(([name, examples]) => ({ name, examples }));
}

/** Examples of each task. */
export function sizesOf(data: TrainingData): number[] {
  return tasksOf(data).map(({ examples }) => examples.length);
}

/** What the number of steps depends on. */
type Pacing = Pick<StepOptions, 'batchSize' | 'gradientAccumulationSteps' | 'taskMix'> & {
  readonly steps: number;
  readonly epochs: number;
};

/**
 * Steps of a run: as many as asked for, or as `epochs` take. An epoch is that of the task with most batches.
 * @param sizes examples of each task
 */
export function stepsOf(
  sizes: readonly number[],
  { steps, epochs, batchSize, taskMix = 'equal', gradientAccumulationSteps: parts = 1 }: Pacing,
): number {
  if (steps > 0) return steps;
  const perStep = mixedBatchSizes(sizes, batchSize, taskMix).map((size) => size * parts);
  const perEpoch = Math.max(...sizes.map((size, i) => Math.ceil(size / perStep[i]!)));
  return Math.max(1, Math.round(epochs * perEpoch));
}
