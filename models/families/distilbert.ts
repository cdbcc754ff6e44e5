/** Room: models/families. DistilBERT (Sanh et al. 2019): BERT's block under other names, without segments. */
import { z } from 'zod';
import { ACTIVATION_NAMES, type Architecture, type HeadLinear, type ModelConfig } from '../architecture.ts';
import {
  activationName,
  commonConfig,
  commonKeys,
  count,
  dividedBy,
  probability,
  readKeys,
  token,
  type ConfigFile,
} from '../schema.ts';

const schema = z.looseObject({
  ...commonKeys,
  dim: count.default(768),
  n_layers: count.default(6),
  n_heads: count.default(12),
  hidden_dim: count.default(3072),
  max_position_embeddings: count.default(512),
  activation: activationName.default('gelu'),
  dropout: probability.default(0.1),
  attention_dropout: probability.default(0.1),
  seq_classif_dropout: probability.default(0.2),
  pad_token_id: token.nullish().transform((id) => id ?? 0),
  tie_word_embeddings: z.boolean().default(true),
});

export function distilbert(file: ConfigFile): ModelConfig {
  const keys = readKeys(file, schema);
  const { dim } = keys;
  return {
    family: 'distilbert',
    architecture: architecture(dim, keys.tie_word_embeddings, ACTIVATION_NAMES[keys.activation]),
    ...commonConfig(keys, file),
    hiddenSize: dim,
    embeddingSize: dim,
    numLayers: keys.n_layers,
    numHeads: keys.n_heads,
    kvHeads: keys.n_heads,
    headDim: dividedBy(file, ['dim', dim], ['n_heads', keys.n_heads]),
    intermediateSize: keys.hidden_dim,
    hiddenAct: ACTIVATION_NAMES[keys.activation],
    normEps: 1e-12,
    maxPositions: keys.max_position_embeddings,
    maxTokens: keys.max_position_embeddings,
    typeVocabSize: 0,
    padTokenId: keys.pad_token_id,
    hasPadToken: true,
    hiddenDropout: keys.dropout,
    attentionDropout: keys.attention_dropout,
    classifierDropout: keys.seq_classif_dropout,
  };
}

function architecture(dim: number, tied: boolean, activation: ModelConfig['hiddenAct']): Architecture {
  const embeddings = 'distilbert.embeddings';
  const words = `${embeddings}.word_embeddings`;
  const preClassifier: HeadLinear = { name: 'pre_classifier', outFeatures: dim, bias: true, activation: 'relu' };
  const linear = (name: string): { name: string; bias: true } => ({ name, bias: true });
  return {
    prefix: 'distilbert.',
    className: 'DistilBert',
    embeddings: { words, positions: `${embeddings}.position_embeddings`, norm: `${embeddings}.LayerNorm` },
    block: {
      prefix: (layer) => `distilbert.transformer.layer.${layer}`,
      linears: {
        query: linear('attention.q_lin'),
        key: linear('attention.k_lin'),
        value: linear('attention.v_lin'),
        attentionOutput: linear('attention.out_lin'),
        up: linear('ffn.lin1'),
        down: linear('ffn.lin2'),
      },
      attentionNorm: 'sa_layer_norm',
      ffnNorm: 'output_layer_norm',
      preNorm: false,
      causal: false,
    },
    norm: 'layer',
    positions: { count: 'places', first: 0 },
    storedInOut: false,
    heads: {
      classification: { reads: 'first-token', frozen: [], trained: [preClassifier, linear('classifier')] },
      'multiple-choice': {
        reads: 'first-token',
        frozen: [],
        trained: [preClassifier, { ...linear('classifier'), outFeatures: 1 }],
      },
      'question-answering': {
        reads: 'every-token',
        frozen: [],
        trained: [{ ...linear('qa_outputs'), outFeatures: 2 }],
      },
      'masked-lm': {
        reads: 'every-token',
        frozen: [{ ...linear('vocab_transform'), outFeatures: dim, activation, norm: 'vocab_layer_norm' }],
        trained: [],
        vocabulary: { module: 'vocab_projector', tied, bias: true },
      },
    },
  };
}
