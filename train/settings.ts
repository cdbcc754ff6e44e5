/**
 * Room: train. Every setting of a fine-tuning run with its default and meaning. The command line's flags, `--config` files and
 * `--help` are made from this table, so they cannot disagree.
 */
import { z } from 'zod';
import { ANSWER_DEFAULTS } from '../data/qa/answers.ts';

const count = z.int().positive();
const whole = z.int().nonnegative();
const IN_RATIO = 'expected a number in [0, 1)';
const ratio = z.number().min(0, IN_RATIO).lt(1, IN_RATIO);
const positive = z.number().positive();
const amount = z.number().nonnegative();
const scope = z.enum(['layerwise', 'global']);

export const settingsSchema = z.strictObject({
  peft: z
    .enum(['lora', 'dora', 'ia3', 'houlsby', 'pfeiffer', 'parallel', 'adapter'])
    .default('lora')
    .describe('PEFT method'),
  targetModules: z
    .string()
    .default('all-linear')
    .describe("modules: all-linear, default (PEFT's own), names separated by commas, or a regular expression"),
  excludeModules: z.string().optional().describe('modules to leave out: names, or a regular expression'),
  layersToTransform: z.string().optional().describe('layers with modules, by numbers separated by commas'),
  modulesToSave: z.string().optional().describe('modules that train whole beside the head, e.g. pooler,LayerNorm'),
  loraR: count.default(8).describe('rank of LoRA modules'),
  loraAlpha: positive.default(16).describe('LoRA scaling is alpha / r'),
  rankPattern: z.string().optional().describe('other ranks by the end of a module name, e.g. query=2,output.dense=16'),
  alphaPattern: z.string().optional().describe('other alphas, as --rank-pattern'),
  useRslora: z.boolean().default(false).describe('LoRA scaling is alpha / √r'),
  bias: z.enum(['none', 'all', 'lora_only']).default('none').describe('biases of the base that train along'),
  initLoraWeights: z
    .enum(['true', 'false', 'gaussian', 'orthogonal'])
    .default('true')
    .describe('how LoRA starts; false: with both factors drawn'),
  feedforwardModules: z.string().optional().describe('(IA)³ modules whose input is scaled, as --target-modules'),
  adapterSize: count.optional().describe('bottleneck size of adapters (8, or by --reduction-factor)'),
  reductionFactor: positive.optional().describe('bottleneck size as hidden size / this'),
  adapterScale: z.string().optional().describe('scale of adapter outputs (1; parallel 4), learned, or channel'),
  adapterActivation: z
    .enum(['relu', 'gelu', 'tanh', 'swish'])
    .optional()
    .describe('non-linearity of adapters (relu; houlsby swish)'),
  adapterInit: z
    .enum(['lora', 'bert', 'houlsby'])
    .default('lora')
    .describe('how adapters start: up zero, or both drawn'),
  adapterParallel: z.boolean().default(false).describe('let adapters (--peft adapter) read the sublayer input'),
  dropout: ratio.default(0.05).describe('dropout of PEFT modules'),
  taskType: z
    .enum(['SEQ_CLS', 'CAUSAL_LM', 'QUESTION_ANS', 'MULTIPLE_CHOICE'])
    .optional()
    .describe('the task, if the data does not tell'),
  problemType: z
    .enum(['single_label_classification', 'multi_label_classification', 'regression'])
    .optional()
    .describe('what the labels of SEQ_CLS are, if they do not tell'),
  maxAnswerLength: count
    .default(ANSWER_DEFAULTS.maxAnswerLength)
    .describe('longest answer to a question on a text, in tokens'),
  docStride: count.default(128).describe('tokens that two windows of a long context share, at most half of a window'),
  allowEmptyAnswer: z
    .boolean()
    .default(ANSWER_DEFAULTS.allowEmptyAnswer)
    .describe('let a question have no answer, where that scores highest'),

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
