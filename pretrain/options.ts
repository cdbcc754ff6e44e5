/** Room: pretrain. What pretraining is asked for, with defaults: those of the bundled model. */
import { z } from 'zod';

const count = z.int().positive();
const amount = z.number().nonnegative();

export const pretrainOptionsSchema = z.strictObject({
  hiddenSize: count.default(192).describe('features of a token'),
  layers: count.default(4).describe('layers'),
  heads: count.default(6).describe('attention heads'),
  neurons: count.default(768).describe('neurons of the feed-forward network'),
  steps: count.default(4000).describe('training steps'),
  batchSize: count.default(16).describe('blocks per step'),
  maxLength: count.default(128).describe('tokens per block'),
  probability: z.number().gt(0).lt(1).default(0.2).describe('part of the tokens to predict'),
  lr: z.number().positive().default(1e-3).describe('peak learning rate'),
  warmupRatio: amount.lt(1).default(0.06).describe('part of the steps spent warming up'),
  weightDecay: amount.default(0.01).describe('AdamW weight decay'),
  maxGradNorm: amount.default(1).describe('largest gradient norm, 0 = off'),
  seed: z.int().nonnegative().default(1).describe('seed of weights, order and masking'),
  saveEvery: z.int().nonnegative().default(200).describe('steps between checkpoints'),
});

/** Name of the file that pretraining is saved in on the way. */
export const PRETRAIN_CHECKPOINT = 'pretrain.checkpoint.safetensors';

export type PretrainOptions = z.output<typeof pretrainOptionsSchema>;
