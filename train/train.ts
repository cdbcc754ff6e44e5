/** Room: train. Stage three, or plain PEFT: a model's modules and head learn from examples. */
import { dirname } from 'node:path';
import type { Examples } from '../data/example-store.ts';
import { DataLoader, type Batch, type Order } from '../data/data-loader.ts';
import { rowsPerExample, splitBatch } from '../data/micro-batches.ts';
import { arePacked } from '../data/packing.ts';
import { objectiveOf, type Objective } from '../data/objective.ts';
import { option, UserError } from '../engine/errors.ts';
import { parseOptions } from '../engine/options.ts';
import type { BatchInputs, PeftModel } from '../peft-model/peft-model.ts';
import { assertCompatible, assertWarmupFits } from './exclusive-options.ts';
import { evaluationPlan } from './evaluation-plan.ts';
import { KeptAdapters } from './kept-adapters.ts';
import { learningRates } from './learning-rates.ts';
import {
  splitOptions,
  trainOptionsSchema,
  type EvaluationOptions,
  type StepOptions,
  type TrainerCallbacks,
  type TrainOptions,
} from './options.ts';
import type { OptimizationOptions, TrainingLoss } from './step.ts';
import { runTraining, type TrainResult } from './trainer.ts';

/**
 * Trains a model in place.
 * @param examples encoded for the model, none longer than it takes
 * @throws UserError for an option out of range; NonFiniteLossError, InterruptedError, DeviceLostError
 */
export async function train(model: PeftModel, examples: Examples, options: TrainOptions = {}): Promise<TrainResult> {
  const { evaluation: data, ...given } = options;
  const { numbers, callbacks } = splitOptions(given);
  const parsed = parseOptions(trainOptionsSchema, numbers);
  assertCompatible(parsed);
  using evaluation = evaluationPlan(model, data, parsed);
  const kept = keptAdapters(model, parsed, callbacks);
  const steps = stepsOf(examples.length, parsed);
  const batches = trainingBatches(model, examples, parsed);
  const training = trainingLoss(model, objectiveOf(model, examples, parsed), arePacked(examples));
  const run = (): Promise<TrainResult> =>
    runTraining(training, batches, { ...optimizationOf(model, parsed, steps), evaluation, kept }, callbacks);
  const rates = learningRates(model, parsed);
  return await (rates ? model.withParameters([], run, rates) : run());
}

/** @throws UserError where there is no place for them */
function keptAdapters(
  model: PeftModel,
  { saveTotalLimit }: EvaluationOptions,
  { checkpoint }: TrainerCallbacks,
): KeptAdapters | undefined {
  if (saveTotalLimit === undefined) return undefined;
  if (!checkpoint)
    throw new UserError(`${option('saveTotalLimit')}: needs ${option('checkpoint')}, whose folder it is for`);
  return new KeptAdapters(dirname(checkpoint.path), saveTotalLimit, (dir) => model.savePretrained(dir));
}

/** Steps of a run: as many as asked for, or as `epochs` take. */
export function stepsOf(
  examples: number,
  {
    steps,
    epochs,
    batchSize,
    gradientAccumulationSteps = 1,
  }: {
    readonly steps: number;
    readonly epochs: number;
    readonly batchSize: number;
    readonly gradientAccumulationSteps?: number | undefined;
  },
): number {
  const perStep = batchSize * gradientAccumulationSteps;
  return steps > 0 ? steps : Math.max(1, Math.round(epochs * Math.ceil(examples / perStep)));
}

/** A model's loss on batches of an objective. @param packed whether their rows are of several examples */
export function trainingLoss(model: PeftModel, objective: Objective, packed = false): TrainingLoss<Batch> {
  return {
    engine: model.engine,
    get parameters() {
      return model.parameters;
    },
    name: 'train',
    specs: ({ batch, seq }) => ({ ...model.inputSpecs(batch, seq, { packed }), labels: objective.labels(batch, seq) }),
    inputs: (batch) => ({ ...model.inputValues(batch), labels: batch.labels }),
    loss: (inputs, options) => model.loss(objective, inputs as BatchInputs, inputs.labels!, options),
    tokens: realTokens,
    unit: rowsPerExample,
    split: (batch, rows) => {
      const { labels, batch: of } = batch;
      const tokens = realTokens(batch);
      const parts = splitBatch(batch, rows, (_, from) => objective.part(labels, from, rows, of));
      // A smaller last batch has parts without examples.
      return parts
        .filter(({ count }) => count > 0)
        .map((part) => ({
          batch: part,
          weight: objective.share(part.labels, labels),
          share: realTokens(part) / Math.max(1, tokens),
        }));
    },
  };
}

export function trainingBatches({ base }: PeftModel, examples: Examples, options: StepOptions): DataLoader {
  const {
    shuffle,
    groupByLength,
    megaBatchMult,
    batchSize,
    gradientAccumulationSteps,
    seed,
    shuffleSeed = seed,
  } = options;
  const order: Order = !shuffle ? 'file' : groupByLength ? 'bucket' : 'shuffle';
  return new DataLoader(examples, {
    batchSize: batchSize * (gradientAccumulationSteps ?? 1),
    order,
    seed: shuffleSeed,
    megaBatchMult,
    padId: base.config.padTokenId,
    maxLength: base.config.maxTokens,
  });
}

/** @param steps of the whole run, which the schedule spans */
export function optimizationOf(
  { peft }: PeftModel,
  options: StepOptions,
  steps: number,
): OptimizationOptions & { readonly saveEvery: number } {
  const { lr, schedule, warmupRatio, warmupSteps, numCycles, power, lrEnd } = options;
  const { weightDecay, maxGradNorm, activations, saveEvery, gradientAccumulationSteps: accumulation } = options;
  assertWarmupFits(warmupSteps, steps);
  const pace = { steps, lr, schedule, warmupRatio, warmupSteps, numCycles, power, lrEnd, accumulation };
  const compile = { activations, recompute: options.gradientCheckpointing ? 'layers' : 'cheap' } as const;
  const dropoutSeed = peft.dropout > 0 ? (options.dropoutSeed ?? options.seed) : undefined;
  return { ...pace, weightDecay, maxGradNorm, dropoutSeed, compile, saveEvery };
}

function realTokens({ attentionMask, count, seq }: Batch): number {
  let tokens = 0;
  for (let i = 0; i < count * seq; i++) tokens += attentionMask[i]!;
  return tokens;
}
