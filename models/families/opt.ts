/** Room: models/families. OPT (Zhang et al. 2022). */
import { z } from 'zod';
import { ACTIVATION_NAMES, type Architecture, type ModelConfig } from '../architecture.ts';
import {
  activationName,
  commonConfig,
  count,
  dividedBy,
  positive,
  probability,
  readKeys,
  type ConfigFile,
} from '../schema.ts';
import { decoderHeads, decoderKeys } from './decoder.ts';

const schema = z.looseObject({
  ...decoderKeys,
  hidden_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  ffn_dim: count,
  max_position_embeddings: count,
  word_embed_proj_dim: count.nullish(),
  activation_function: activationName.default('relu'),
  do_layer_norm_before: z.boolean().default(true),
  _remove_final_layer_norm: z.boolean().default(false),
  layer_norm_elementwise_affine: z.literal(true).default(true),
  enable_bias: z.boolean().default(true),
  dropout: probability.default(0.1),
  attention_dropout: probability.default(0),
  init_std: positive.default(0.02),
  tie_word_embeddings: z.boolean().default(true),
});

type OptFile = z.infer<typeof schema>;

/** Rows of the position table before that of the first token. */
const OFFSET = 2;

export function opt(file: ConfigFile): ModelConfig {
  const keys = readKeys(file, schema);
  const { hidden_size: hiddenSize, num_attention_heads: numHeads } = keys;
  const padTokenId = keys.pad_token_id ?? 1;
  return {
    family: 'opt',
    architecture: architecture(keys),
    ...commonConfig(keys, file),
    hiddenSize,
    embeddingSize: keys.word_embed_proj_dim ?? hiddenSize,
    numLayers: keys.num_hidden_layers,
    numHeads,
    kvHeads: numHeads,
    headDim: dividedBy(file, ['hidden_size', hiddenSize], ['num_attention_heads', numHeads]),
    intermediateSize: keys.ffn_dim,
    hiddenAct: ACTIVATION_NAMES[keys.activation_function],
    normEps: 1e-5,
    maxPositions: keys.max_position_embeddings + OFFSET,
    maxTokens: keys.max_position_embeddings,
    typeVocabSize: 0,
    padTokenId,
    hasPadToken: keys.pad_token_id !== null,
    hiddenDropout: keys.dropout,
    attentionDropout: keys.attention_dropout,
    classifierDropout: 0,
    initializerRange: keys.init_std,
  };
}

function architecture(keys: OptFile): Architecture {
  const decoder = 'model.decoder';
  const words = `${decoder}.embed_tokens`;
  const projected = (keys.word_embed_proj_dim ?? keys.hidden_size) !== keys.hidden_size;
  const normsFirst = keys.do_layer_norm_before;
  const linear = (name: string): { name: string; bias: boolean } => ({ name, bias: keys.enable_bias });
  return {
    prefix: 'model.',
    className: 'OPT',
    embeddings: {
      words,
      positions: `${decoder}.embed_positions`,
      ...(projected && { project: `${decoder}.project_in` }),
    },
    block: {
      prefix: (layer) => `${decoder}.layers.${layer}`,
      linears: {
        query: linear('self_attn.q_proj'),
        key: linear('self_attn.k_proj'),
        value: linear('self_attn.v_proj'),
        attentionOutput: linear('self_attn.out_proj'),
        up: linear('fc1'),
        down: linear('fc2'),
      },
      attentionNorm: 'self_attn_layer_norm',
      ffnNorm: 'final_layer_norm',
      preNorm: normsFirst,
      causal: true,
    },
    norm: 'layer',
    ...(normsFirst && !keys._remove_final_layer_norm && { finalNorm: `${decoder}.final_layer_norm` }),
    ...(projected && { finalProject: `${decoder}.project_out` }),
    positions: { count: 'mask', first: OFFSET },
    storedInOut: false,
    heads: decoderHeads(keys.tie_word_embeddings),
  };
}
