/** Room: models/families. BERT (Devlin et al. 2019), and what RoBERTa and BERT share. */
import { z } from 'zod';
import { ACTIVATION_NAMES, type Architecture, type Head, type HeadLinear, type ModelConfig } from '../architecture.ts';
import {
  activationName,
  commonConfig,
  commonKeys,
  count,
  dividedBy,
  positive,
  probability,
  readKeys,
  token,
  type ConfigFile,
} from '../schema.ts';

/** Keys of BERT and RoBERTa; what transformers leaves out of a file has its default here. */
export const encoderKeys = {
  ...commonKeys,
  hidden_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  intermediate_size: count,
  max_position_embeddings: count,
  type_vocab_size: count.default(2),
  hidden_act: activationName.default('gelu'),
  layer_norm_eps: positive.default(1e-12),
  hidden_dropout_prob: probability.default(0.1),
  attention_probs_dropout_prob: probability.default(0.1),
  classifier_dropout: probability.nullish(),
  position_embedding_type: z.literal('absolute').default('absolute'),
  tie_word_embeddings: z.boolean().default(true),
};

const schema = z.looseObject({ ...encoderKeys, pad_token_id: token.nullish().transform((id) => id ?? 0) });

export type EncoderFile = z.infer<typeof schema>;

export function bert(file: ConfigFile): ModelConfig {
  const keys = readKeys(file, schema);
  const architecture = {
    ...encoderArchitecture('bert', keys),
    className: 'Bert',
    positions: { count: 'places', first: 0 },
    heads: {
      ...encoderHeads('bert', keys),
      classification: { reads: 'first-token', frozen: [pooler('bert', keys)], trained: [classifier('classifier')] },
      'masked-lm': {
        reads: 'every-token',
        frozen: [
          {
            name: 'cls.predictions.transform.dense',
            outFeatures: keys.hidden_size,
            bias: true,
            activation: ACTIVATION_NAMES[keys.hidden_act],
            norm: 'cls.predictions.transform.LayerNorm',
          },
        ],
        trained: [],
        vocabulary: {
          module: 'cls.predictions.decoder',
          tied: keys.tie_word_embeddings,
          bias: true,
          otherBias: 'cls.predictions.bias',
        },
      },
    },
  } as const satisfies Architecture;
  return encoderConfig('bert', architecture, keys, file, keys.max_position_embeddings);
}

/** Everything but name, positions and heads. */
export function encoderArchitecture(
  prefix: string,
  keys: EncoderFile,
): Omit<Architecture, 'className' | 'positions' | 'heads'> {
  const embeddings = `${prefix}.embeddings`;
  return {
    prefix: `${prefix}.`,
    embeddings: {
      words: `${embeddings}.word_embeddings`,
      positions: `${embeddings}.position_embeddings`,
      ...(keys.type_vocab_size > 0 && { types: `${embeddings}.token_type_embeddings` }),
      norm: `${embeddings}.LayerNorm`,
    },
    block: {
      prefix: (layer) => `${prefix}.encoder.layer.${layer}`,
      linears: {
        query: { name: 'attention.self.query', bias: true },
        key: { name: 'attention.self.key', bias: true },
        value: { name: 'attention.self.value', bias: true },
        attentionOutput: { name: 'attention.output.dense', bias: true },
        up: { name: 'intermediate.dense', bias: true },
        down: { name: 'output.dense', bias: true },
      },
      attentionNorm: 'attention.output.LayerNorm',
      ffnNorm: 'output.LayerNorm',
      preNorm: false,
      causal: false,
    },
    norm: 'layer',
    storedInOut: false,
  };
}

/** The heads that BERT and RoBERTa have alike. */
export function encoderHeads(
  prefix: string,
  keys: EncoderFile,
): Record<'multiple-choice' | 'question-answering', Head> {
  return {
    'multiple-choice': {
      reads: 'first-token',
      frozen: [pooler(prefix, keys)],
      trained: [{ ...classifier('classifier'), outFeatures: 1 }],
    },
    'question-answering': {
      reads: 'every-token',
      frozen: [],
      trained: [{ ...classifier('qa_outputs'), outFeatures: 2 }],
    },
  };
}

function pooler(prefix: string, { hidden_size: outFeatures }: EncoderFile): HeadLinear {
  return { name: `${prefix}.pooler.dense`, outFeatures, bias: true, activation: 'tanh' };
}

function classifier(name: string): HeadLinear {
  return { name, bias: true };
}

/** @param maxTokens longest sequence */
export function encoderConfig(
  family: string,
  architecture: Architecture,
  keys: EncoderFile,
  file: ConfigFile,
  maxTokens: number,
): ModelConfig {
  const { hidden_size: hiddenSize, num_attention_heads: numHeads } = keys;
  return {
    family,
    architecture,
    ...commonConfig(keys, file),
    hiddenSize,
    embeddingSize: hiddenSize,
    numLayers: keys.num_hidden_layers,
    numHeads,
    kvHeads: numHeads,
    headDim: dividedBy(file, ['hidden_size', hiddenSize], ['num_attention_heads', numHeads]),
    intermediateSize: keys.intermediate_size,
    hiddenAct: ACTIVATION_NAMES[keys.hidden_act],
    normEps: keys.layer_norm_eps,
    maxPositions: keys.max_position_embeddings,
    maxTokens,
    typeVocabSize: keys.type_vocab_size,
    padTokenId: keys.pad_token_id,
    hasPadToken: true,
    hiddenDropout: keys.hidden_dropout_prob,
    attentionDropout: keys.attention_probs_dropout_prob,
    classifierDropout: keys.classifier_dropout ?? keys.hidden_dropout_prob,
  };
}
