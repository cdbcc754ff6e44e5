/** Room: train. A model as the trainer sees it: its loss on batches of examples, their order, and how it is optimized. */
import type { Examples } from '../data/example-store.ts';
import { DataLoader, type Batch, type Order } from '../data/data-loader.ts';
import { rowsPerExample, splitBatch } from '../data/micro-batches.ts';
import type { Objective } from '../data/objective.ts';
import type { BatchInputs, PeftModel } from '../peft-model/peft-model.ts';
import { assertWarmupFits } from './exclusive-options.ts';
import type { StepOptions } from './options.ts';
import type { OptimizationOptions, TrainingLoss } from './step.ts';

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

/** @param batchSize examples at a time, if not those of the options */
export function trainingBatches(
  { base }: PeftModel,
  examples: Examples,
  options: StepOptions,
  batchSize = options.batchSize,
): DataLoader {
  const { shuffle, groupByLength, megaBatchMult, gradientAccumulationSteps, seed, shuffleSeed = seed } = options;
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
