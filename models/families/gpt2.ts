/** Room: models/families. GPT-2 (Radford et al. 2019): query, key and value are one layer, and files hold matrices as [in, out]. */
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
  n_embd: count,
  n_layer: count,
  n_head: count,
  n_inner: count.nullish(),
  n_positions: count.default(1024),
  activation_function: activationName.default('gelu_new'),
  layer_norm_epsilon: positive.default(1e-5),
  embd_pdrop: probability.default(0.1),
  attn_pdrop: probability.default(0.1),
  scale_attn_weights: z.boolean().default(true),
  scale_attn_by_inverse_layer_idx: z.boolean().nullish(),
  tie_word_embeddings: z.boolean().default(true),
});

type Gpt2File = z.infer<typeof schema>;

export function gpt2(file: ConfigFile): ModelConfig {
  const keys = readKeys(file, schema);
  const { n_embd: hiddenSize, n_head: numHeads } = keys;
  const headDim = dividedBy(file, ['n_embd', hiddenSize], ['n_head', numHeads]);
  return {
    family: 'gpt2',
    architecture: architecture(keys, headDim),
    ...commonConfig(keys, file),
    hiddenSize,
    embeddingSize: hiddenSize,
    numLayers: keys.n_layer,
    numHeads,
    kvHeads: numHeads,
    headDim,
    intermediateSize: keys.n_inner ?? 4 * hiddenSize,
    hiddenAct: ACTIVATION_NAMES[keys.activation_function],
    normEps: keys.layer_norm_epsilon,
    maxPositions: keys.n_positions,
    maxTokens: keys.n_positions,
    typeVocabSize: 0,
    padTokenId: keys.pad_token_id ?? 0,
    hasPadToken: typeof keys.pad_token_id === 'number',
    hiddenDropout: keys.embd_pdrop,
    attentionDropout: keys.attn_pdrop,
    classifierDropout: 0,
  };
}

function architecture(keys: Gpt2File, headDim: number): Architecture {
  const words = 'transformer.wte';
  const scale = keys.scale_attn_weights ? 1 / Math.sqrt(headDim) : 1;
  return {
    prefix: 'transformer.',
    className: 'GPT2',
    embeddings: { words, positions: 'transformer.wpe' },
    block: {
      prefix: (layer) => `transformer.h.${layer}`,
      linears: {
        queryKeyValue: { name: 'attn.c_attn', bias: true },
        attentionOutput: { name: 'attn.c_proj', bias: true },
        up: { name: 'mlp.c_fc', bias: true },
        down: { name: 'mlp.c_proj', bias: true },
      },
      attentionNorm: 'ln_1',
      ffnNorm: 'ln_2',
      preNorm: true,
      causal: true,
      attentionScale: (layer) => (keys.scale_attn_by_inverse_layer_idx ? scale / (layer + 1) : scale),
    },
    norm: 'layer',
    finalNorm: 'transformer.ln_f',
    positions: { count: 'places', first: 0 },
    storedInOut: true,
    heads: decoderHeads(keys.tie_word_embeddings),
  };
}
