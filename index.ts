/**
 * Room: the package. `light-peft`: PEFT and Light-PEFT on pretrained transformers, on any WebGPU device.
 *
 * The way of most programs: `Engine.open` → `loadModel` → `getPeftModel` → `estimate` → `decide` → `prune` → `train` → `evaluate` →
 * `savePretrained`. Methods and adapter formats are registries (`registerMethod`, `registerAdapterFormat`). Tensors, ops and programs are
 * `light-peft/engine`; data is `light-peft/data`.
 *
 * This file exports and does nothing else.
 * @module light-peft
 */
export { Engine } from './engine/engine.ts';
export { DeviceLostError, NoAdapterError } from './engine/device/device.ts';
export { UserError } from './engine/errors.ts';

// Checkpoints.
export { loadModel, type Checkpoint } from './models/checkpoint.ts';
export type { HeadKind, ModelConfig } from './models/architecture.ts';
export type { BaseModel } from './models/base-model.ts';
export type { ForwardHooks } from './models/forward-hooks.ts';

// PEFT methods and their folders.
export {
  bottleneckConfig,
  doraConfig,
  ia3Config,
  loraConfig,
  peftConfig,
  type PeftConfigFor,
} from './peft/create-config.ts';
export { registerMethod, type MethodType, type PeftConfig } from './peft/config.ts';
export { registerAdapterFormat, type AdapterFormat } from './peft/adapter-formats.ts';
export type { Adapter, AdapterTensor } from './peft/files.ts';
export type { Factor, PeftMethod, PeftModule, PeftRun, Rng, StateDict } from './peft/module.ts';
export type { PeftOptions, PeftOptionsInput } from './peft/options.ts';

// Models with PEFT modules and a task head.
export { getPeftModel, type PeftModelOptions } from './peft-model/create.ts';
export { PeftModel, type ForwardOptions } from './peft-model/peft-model.ts';
export { MultiAdapterModel } from './peft-model/multi-adapter-model.ts';
export type { PretrainedOptions } from './peft-model/pretrained.ts';
export { exportDense, mergeAdapter } from './peft-model/convert.ts';

// Light-PEFT: estimate, decide, prune.
export { estimate, type Estimate } from './train/estimate.ts';
export { decide, randomScores, type DecideOptions, type Decision, type ImportanceScores } from './pruning/decide.ts';
export { prune } from './peft-model/prune.ts';
export type { SliceOptions } from './peft-model/slice-state.ts';
export { MaskedPlan } from './pruning/masked-plan.ts';
export { readPlan, type Plan } from './pruning/plan.ts';
export { readEstimate, scoresOf, type EstimateResult } from './pruning/scores-file.ts';

// Training and evaluation.
export { train, trainingLoss } from './train/train.ts';
export type { CheckpointOptions, EstimateOptions, TrainerCallbacks, TrainOptions } from './train/options.ts';
export {
  runTraining,
  type BatchSource,
  type OptimizationOptions,
  type StepGraph,
  type StepTransform,
  type TrainingLoss,
  type TrainResult,
} from './train/trainer.ts';
export { InterruptedError, NonFiniteLossError, type StepReport } from './train/loop.ts';
export { evaluate, infer, type Evaluation, type Inference, type LanguageMetrics } from './train/evaluate.ts';
export { predict, type Window } from './train/predict.ts';
export { generateAll, type Answer, type GenerationCallbacks, type GenerationRequest } from './generate/generate.ts';
