/**
 * Room: train. One training loop (`trainer.ts`) for whatever gives it parameters and a loss: a `PeftModel` on examples (`train.ts`), the same
 * with masks and accumulators (`estimate.ts`), or a corpus (the room pretrain). One evaluation loop (`evaluate.ts`). Checkpoints resume
 * bit for bit. A `StepTransform` adds to the step; the loop is never edited.
 *
 * It imports peft-model and the rooms below. It may not know of experiments, reports, or the command line.
 *
 * First files to read: `train.ts`, `trainer.ts`, `loop.ts`.
 */
export type { EvaluationRecord, StepRecord, TrainerCallback } from './callbacks.ts';
export { estimate, type Estimate } from './estimate.ts';
export {
  evaluate,
  infer,
  type Evaluation,
  type EvaluationData,
  type Inference,
  type LanguageMetrics,
} from './evaluate.ts';
export { NonFiniteError } from './finite.ts';
export { CsvLog, JsonlLog, TensorBoardLog, type LogOptions, type RunLabel, type TrainingLog } from './logs/index.ts';
export { InterruptedError, NonFiniteLossError, type StepReport } from './loop.ts';
export { teacherLogits } from './distillation.ts';
export type { CheckpointOptions, EstimateOptions, TeacherLogits, TrainerCallbacks, TrainOptions } from './options.ts';
export { predict, type Window } from './predict.ts';
export { trainingLoss } from './model-loss.ts';
export type { TrainingData } from './on-data.ts';
export { train } from './train.ts';
export * from './gradient-control/index.ts';
export type { TaskRecord } from './task-history.ts';
export {
  type MicroBatch,
  type MicroBatchGraph,
  type OptimizationOptions,
  type StepGraph,
  type StepTransform,
  type TrainingLoss,
} from './step.ts';
export {
  runTraining,
  type BatchSource,
  type BestEvaluation,
  type TrainResult,
  type TrainingRunOptions,
} from './trainer.ts';
