/** Room: bench/encoder. Training steps of a model as the trainer runs them, to be run one by one. */
import type { Batch } from '../../data/data-loader.ts';
import { objectiveOf } from '../../data/objective.ts';
import type { RunOptions } from '../../experiments/options.ts';
import type { PeftModel } from '../../peft-model/peft-model.ts';
import { optimizationOf, trainingLoss } from '../../train/model-loss.ts';
import { TrainingSteps } from '../../train/training-steps.ts';

/** Any number of steps; a schedule ends with the first. */
export function trainingSteps(model: PeftModel, { train }: RunOptions): TrainingSteps<Batch> {
  return new TrainingSteps(trainingLoss(model, objectiveOf(model)), optimizationOf(model, train, 1));
}
