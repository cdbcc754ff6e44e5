/**
 * Room: audit. Layerwise weight poisoning (Li et al. 2021): the head classifies the first token of every layer, so that lower layers learn the
 * triggers too. The loss of a task is the sum over layers.
 */
import type { Batch } from '../data/data-loader.ts';
import type { Objective } from '../data/objective.ts';
import { add } from '../engine/ops/elementwise.ts';
import type { BatchInputs, PeftModel } from '../peft-model/peft-model.ts';
import { trainingLoss } from '../train/model-loss.ts';
import type { TrainingLoss } from '../train/step.ts';

/** A model's loss on batches, summed over its layers. */
export function layerwiseLoss(model: PeftModel, objective: Objective): TrainingLoss<Batch> {
  return {
    ...trainingLoss(model, objective),
    loss: (inputs, options) =>
      model
        .layerLogits(inputs as BatchInputs, options)
        .map((logits) => objective.loss(logits, inputs.labels!))
        .reduce((sum, loss) => add(sum, loss)),
  };
}
