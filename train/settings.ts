/**
 * Room: train. Every setting of a fine-tuning run with its default and meaning. The command line's flags, `--config` files and
 * `--help` are made from this table, so they cannot disagree.
 */
import { z } from 'zod';

const count = z.int().positive();
const whole = z.int().nonnegative();
const IN_RATIO = 'expected a number in [0, 1)';
const ratio = z.number().min(0, IN_RATIO).lt(1, IN_RATIO);
const positive = z.number().positive();
const amount = z.number().nonnegative();
const scope = z.enum(['layerwise', 'global']);

export const settingsSchema = z.strictObject({
  peft: z.enum(['lora', 'adapter']).default('lora').describe('PEFT method'),
  loraR: count.default(8).describe('rank of LoRA modules'),
  loraAlpha: positive.default(16).describe('LoRA scaling is alpha / r'),
  targetModules: z.string().default('all-linear').describe('LoRA targets: all-linear, or names separated by commas'),
  adapterSize: count.default(8).describe('bottleneck size of adapters'),
  adapterScale: positive.default(1).describe('scale of adapter outputs'),
  adapterActivation: z.enum(['relu', 'gelu', 'tanh']).default('relu').describe('non-linearity of adapters'),
  adapterParallel: z.boolean().default(false).describe('adapters read the sublayer input (parallel)'),
  dropout: ratio.default(0.05).describe('dropout of PEFT modules'),
  taskType: z
    .enum(['SEQ_CLS', 'CAUSAL_LM'])
    .optional()
    .describe('sequence classification or language modelling, if the data does not tell'),

  lr: positive.default(1e-3).describe('peak learning rate'),
  schedule: z.enum(['constant', 'linear']).default('linear').describe('learning-rate schedule'),
  warmupRatio: ratio.default(0).describe('part of the steps spent warming up'),
  weightDecay: amount.default(0).describe('AdamW weight decay'),
  clip: amount.default(1).describe('largest gradient norm, 0 = off'),
  batchSize: count.default(32).describe('examples per step'),
  maxLength: count.default(128).describe('longest sequence in tokens'),
  epochs: positive.default(3).describe('passes over the training data'),
  steps: whole.default(0).describe('training steps, 0 = by --epochs'),
  shuffle: z.boolean().default(true).describe('shuffle every epoch'),
  bucket: z.boolean().default(true).describe('batch examples of like length together'),
  seed: whole.default(0).describe('seed of weights, data order and dropout'),
  weights: z.enum(['f32', 'f16']).default('f32').describe('storage of frozen weights'),
  embeddings: z
    .enum(['device', 'host'])
    .default('device')
    .describe('where the frozen word embedding lives; one over the binding limit is on the host'),
  activations: z.enum(['f32', 'f16']).default('f32').describe('storage of what is saved for the backward pass'),
  gradientCheckpointing: z
    .boolean()
    .default(false)
    .describe('compute each layer again in the backward pass: less memory, more time'),
  compute: z
    .enum(['f32', 'f16'])
    .default('f32')
    .describe('products in f32, or with operands rounded to f16 for matrix units'),
  evalSplit: z.enum(['test', 'validation']).default('test').describe('split of a built-in task to evaluate on'),
  saveEvery: whole.default(0).describe('steps between checkpoints, 0 = only when interrupted'),

  estimateSteps: count.default(64).describe('steps of the estimation'),
  l1: amount.default(1e-4).describe('L1 penalty of head and FFN masks'),
  headsL1: amount.optional().describe('L1 penalty of head masks, if not --l1'),
  ffnL1: amount.optional().describe('L1 penalty of FFN masks, if not --l1'),
  headsMaskLr: amount.default(1).describe('learning-rate multiplier of head masks'),
  ffnMaskLr: amount.default(1).describe('learning-rate multiplier of FFN masks'),
  headsRatio: ratio.default(1 / 3).describe('part of the attention heads to prune'),
  headsScope: scope.default('layerwise').describe('rank heads within layers or over the model'),
  headUnit: z
    .enum(['query', 'group'])
    .default('query')
    .describe('grouped-query attention: prune single query heads, or key/value heads with all of theirs'),
  ffnRatio: ratio.default(1 / 3).describe('part of the FFN neurons to prune'),
  ffnScope: scope.default('global').describe('rank neurons within layers or over the model'),
  maskScore: z.enum(['abs', 'signed']).default('abs').describe('score of a mask: magnitude or value'),
  allowEmptyLayers: z.boolean().default(false).describe('let a layer lose all heads or neurons'),
  foldMasks: z.boolean().default(false).describe('fold learned mask values into the kept weights'),
  moduleRatio: ratio.default(0.75).describe('part of the PEFT modules to prune'),
  rankRatio: ratio.default(0.5).describe('part of the remaining ranks to prune'),
  rankScope: scope.default('global').describe('rank the ranks over the model or within modules'),
  carry: z.enum(['inherit', 'reinit']).default('inherit').describe('what fine-tuning starts from after pruning'),
});

export type Settings = z.infer<typeof settingsSchema>;
