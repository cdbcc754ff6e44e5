/**
 * Room: models/families. Llama (Touvron et al. 2023): RMSNorm, rotary positions, grouped-query attention, SwiGLU. Mistral and Qwen2
 * compute the same with other biases and defaults.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { preview } from '../../engine/io/files.ts';
import { ACTIVATION_NAMES, type Architecture, type ModelConfig, type Rotary } from '../architecture.ts';
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

/** Models that turn only a part of each head are other families. */
const whole = z.literal(1).nullish();

const scaling = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: positive.optional(),
  factor: positive.optional(),
  low_freq_factor: positive.optional(),
  high_freq_factor: positive.optional(),
  original_max_position_embeddings: count.nullish(),
  attention_factor: positive.nullish(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().nullish(),
  partial_rotary_factor: whole,
});

const schema = z.looseObject({
  ...decoderKeys,
  hidden_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  intermediate_size: count,
  max_position_embeddings: count.default(2048),
  hidden_act: activationName.default('silu'),
  rms_norm_eps: positive.default(1e-6),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  attention_dropout: probability.default(0),
  // From transformers 5 on, all of rotary positions is in `rope_parameters`; before, in the two other keys.
  rope_parameters: scaling.nullish(),
  rope_theta: positive.nullish(),
  rope_scaling: scaling.nullish(),
  partial_rotary_factor: whole,
  original_max_position_embeddings: count.nullish(),
  sliding_window: count.nullish(),
  use_sliding_window: z.boolean().nullish(),
  tie_word_embeddings: z.boolean().default(false),
});

type LlamaFile = z.infer<typeof schema>;

/** What tells a relative of Llama from it. */
interface Relative {
  readonly family: string;
  readonly className: string;
  readonly biases: (keys: LlamaFile) => { readonly queryKeyValue: boolean; readonly output: boolean };
  /** Longest sequence for which attention within a window is attention to all. */
  readonly window: (keys: LlamaFile) => number;
  /** What transformers calls the same model where it answers questions, if not `model`. */
  readonly questionPrefix?: string;
}

const LLAMA: Relative = {
  family: 'llama',
  className: 'Llama',
  biases: ({ attention_bias: bias }) => ({ queryKeyValue: bias, output: bias }),
  window: () => Infinity,
  questionPrefix: 'transformer.',
};
const MISTRAL: Relative = {
  family: 'mistral',
  className: 'Mistral',
  biases: () => ({ queryKeyValue: false, output: false }),
  window: ({ sliding_window: window }) => window ?? Infinity,
};
const QWEN2: Relative = {
  family: 'qwen2',
  className: 'Qwen2',
  biases: () => ({ queryKeyValue: true, output: false }),
  window: ({ use_sliding_window: windowed, sliding_window: window }) => (windowed ? (window ?? 4096) : Infinity),
  questionPrefix: 'transformer.',
};

export const llama = (file: ConfigFile): ModelConfig => read(file, LLAMA);
export const mistral = (file: ConfigFile): ModelConfig => read(file, MISTRAL);
export const qwen2 = (file: ConfigFile): ModelConfig => read(file, QWEN2);

function read(file: ConfigFile, relative: Relative): ModelConfig {
  const keys = readKeys(file, schema);
  const { hidden_size: hiddenSize, num_attention_heads: numHeads } = keys;
  const kvHeads = keys.num_key_value_heads ?? numHeads;
  dividedBy(file, ['num_attention_heads', numHeads], ['num_key_value_heads', kvHeads]);
  const headDim = keys.head_dim ?? dividedBy(file, ['hidden_size', hiddenSize], ['num_attention_heads', numHeads]);
  if (headDim % 2 !== 0) throw new UserError(`${file.path}: key "head_dim": found ${headDim}, expected an even number`);
  const maxPositions = keys.max_position_embeddings;
  return {
    family: relative.family,
    architecture: architecture(keys, relative, readRotary(file, keys)),
    ...commonConfig(keys, file),
    hiddenSize,
    embeddingSize: hiddenSize,
    numLayers: keys.num_hidden_layers,
    numHeads,
    kvHeads,
    headDim,
    intermediateSize: keys.intermediate_size,
    hiddenAct: ACTIVATION_NAMES[keys.hidden_act],
    normEps: keys.rms_norm_eps,
    maxPositions,
    maxTokens: Math.min(maxPositions, relative.window(keys)),
    typeVocabSize: 0,
    padTokenId: keys.pad_token_id ?? 0,
    hasPadToken: typeof keys.pad_token_id === 'number',
    hiddenDropout: 0,
    attentionDropout: keys.attention_dropout,
    classifierDropout: 0,
  };
}

function architecture(keys: LlamaFile, { className, biases, questionPrefix }: Relative, rotary: Rotary): Architecture {
  const { queryKeyValue, output } = biases(keys);
  const mlp = (name: string): { name: string; bias: boolean } => ({ name: `mlp.${name}`, bias: keys.mlp_bias });
  const words = 'model.embed_tokens';
  return {
    prefix: 'model.',
    ...(questionPrefix !== undefined && { otherPrefixes: [questionPrefix] }),
    className,
    embeddings: { words },
    block: {
      prefix: (layer) => `model.layers.${layer}`,
      linears: {
        query: { name: 'self_attn.q_proj', bias: queryKeyValue },
        key: { name: 'self_attn.k_proj', bias: queryKeyValue },
        value: { name: 'self_attn.v_proj', bias: queryKeyValue },
        attentionOutput: { name: 'self_attn.o_proj', bias: output },
        gate: mlp('gate_proj'),
        up: mlp('up_proj'),
        down: mlp('down_proj'),
      },
      attentionNorm: 'input_layernorm',
      ffnNorm: 'post_attention_layernorm',
      preNorm: true,
      causal: true,
    },
    norm: 'rms',
    finalNorm: 'model.norm',
    positions: { count: 'places', first: 0 },
    rotary,
    storedInOut: false,
    heads: decoderHeads(keys.tie_word_embeddings),
  };
}

/** @throws UserError for a scaling that is not supported, or lacks a number */
function readRotary({ path }: ConfigFile, keys: LlamaFile): Rotary {
  const old = Object.keys(keys.rope_scaling ?? {}).length > 0;
  const key = old || !keys.rope_parameters ? 'rope_scaling' : 'rope_parameters';
  const values = keys[key] ?? {};
  const theta = values.rope_theta ?? keys.rope_theta ?? 10_000;
  const need = (name: 'factor' | 'low_freq_factor' | 'high_freq_factor'): number => {
    const value = values[name];
    if (value !== undefined) return value;
    throw new UserError(`${path}: key "${key}.${name}": found nothing, expected a number`);
  };
  const type = values.rope_type ?? values.type ?? 'default';
  // Dynamic scaling begins beyond the longest sequence.
  if (type === 'default' || type === 'dynamic') return { theta, scaling: undefined };
  if (type === 'linear') return { theta, scaling: { type, factor: need('factor') } };
  const originalPositions =
    keys.original_max_position_embeddings ?? values.original_max_position_embeddings ?? keys.max_position_embeddings;
  if (type === 'llama3') {
    return {
      theta,
      scaling: {
        type,
        factor: need('factor'),
        lowFrequencyFactor: need('low_freq_factor'),
        highFrequencyFactor: need('high_freq_factor'),
        originalPositions,
      },
    };
  }
  if (type === 'yarn') {
    const factor = need('factor');
    return {
      theta,
      scaling: {
        type,
        factor,
        betaFast: values.beta_fast ?? 32,
        betaSlow: values.beta_slow ?? 1,
        truncate: values.truncate ?? true,
        originalPositions,
        amplitude: values.attention_factor ?? yarnAmplitude(factor, values),
      },
    };
  }
  const expected = ['default', 'linear', 'dynamic', 'llama3', 'yarn'].map((name) => `"${name}"`).join(', ');
  throw new UserError(`${path}: key "${key}.rope_type": found ${preview(type)}, expected one of ${expected}`);
}

/** As the paper recommends, or, as DeepSeek has it, by two magnitudes. */
function yarnAmplitude(factor: number, { mscale, mscale_all_dim: all }: z.infer<typeof scaling>): number {
  const grown = (by: number): number => (factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1);
  return mscale && all ? grown(mscale) / grown(all) : grown(1);
}
