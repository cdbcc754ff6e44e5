/** Tests only: a plan but for what it keeps, of a base of two layers with four heads and 64 neurons. */
import type { Plan } from '../../pruning/plan.ts';

export const SAMPLE_PLAN: Omit<Plan, 'layers' | 'modules'> = {
  base: {
    fingerprint: 'sha256:00',
    model_type: 'roberta',
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    intermediate_size: 64,
  },
  origin: {
    method: 'light-peft',
    seed: 1,
    steps: 64,
    heads_ratio: 1 / 3,
    heads_scope: 'layerwise',
    head_unit: 'query',
    ffn_ratio: 1 / 3,
    ffn_scope: 'global',
    mask_score: 'abs',
    module_ratio: 0.75,
    rank_ratio: 0.5,
    rank_scope: 'global',
  },
};
