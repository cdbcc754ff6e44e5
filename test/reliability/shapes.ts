/** Tests only: the configurations of published models, as their `config.json` has them where sizes are concerned. */

/** A published shape. */
export interface PublishedShape {
  readonly name: string;
  /** Content of `config.json`; its class is the one for sequences, so that `predict` needs no adapter. */
  readonly config: Readonly<Record<string, unknown>>;
  /** What is trained. */
  readonly task: 'SEQ_CLS' | 'CAUSAL_LM';
  /** Rows of a batch, and tokens of each. */
  readonly batch: number;
  readonly seq: number;
}

const bert = { hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12, intermediate_size: 3072 };
const roberta = { vocab_size: 50_265, max_position_embeddings: 514, type_vocab_size: 1, pad_token_id: 1 };
const opt = { vocab_size: 50_272, max_position_embeddings: 2048, pad_token_id: 1, eos_token_id: 2, bos_token_id: 2 };

function encoder(name: string, architecture: string, config: PublishedShape['config']): PublishedShape {
  const architectures = [`${architecture}ForSequenceClassification`];
  return { name, config: { ...config, architectures }, task: 'SEQ_CLS', batch: 8, seq: 512 };
}

function decoder(
  name: string,
  architecture: string,
  config: PublishedShape['config'],
  more: Partial<PublishedShape> = {},
): PublishedShape {
  return { ...encoder(name, architecture, config), task: 'CAUSAL_LM', ...more };
}

export const PUBLISHED: readonly PublishedShape[] = [
  decoder('OPT-125m', 'OPT', {
    ...{ model_type: 'opt', ...opt, hidden_size: 768, word_embed_proj_dim: 768 },
    ...{ num_hidden_layers: 12, num_attention_heads: 12, ffn_dim: 3072 },
  }),
  decoder('GPT-2', 'GPT2', {
    ...{ model_type: 'gpt2', vocab_size: 50_257, n_embd: 768, n_layer: 12, n_head: 12, n_positions: 1024, n_ctx: 1024 },
    ...{ bos_token_id: 50_256, eos_token_id: 50_256 },
  }),
  encoder('BERT-base', 'Bert', {
    ...{ model_type: 'bert', vocab_size: 30_522, ...bert, max_position_embeddings: 512, type_vocab_size: 2 },
    pad_token_id: 0,
  }),
  encoder('DistilBERT', 'DistilBert', {
    ...{ model_type: 'distilbert', vocab_size: 30_522, dim: 768, n_layers: 6, n_heads: 12, hidden_dim: 3072 },
    ...{ max_position_embeddings: 512, pad_token_id: 0 },
  }),
  encoder('RoBERTa-base', 'Roberta', { model_type: 'roberta', ...roberta, ...bert }),
  decoder('Qwen2-0.5B', 'Qwen2', {
    ...{ model_type: 'qwen2', vocab_size: 151_936, hidden_size: 896, num_hidden_layers: 24, num_attention_heads: 14 },
    ...{ num_key_value_heads: 2, intermediate_size: 4864, max_position_embeddings: 32_768, rope_theta: 1e6 },
    ...{ rms_norm_eps: 1e-6, tie_word_embeddings: true, bos_token_id: 151_643, eos_token_id: 151_643 },
  }),
  encoder('RoBERTa-large', 'Roberta', {
    ...{ model_type: 'roberta', ...roberta, hidden_size: 1024, num_hidden_layers: 24, num_attention_heads: 16 },
    intermediate_size: 4096,
  }),
  decoder(
    'Mistral-7B, 2 layers',
    'Mistral',
    {
      ...{ model_type: 'mistral', vocab_size: 32_000, hidden_size: 4096, num_hidden_layers: 2 },
      ...{
        num_attention_heads: 32,
        num_key_value_heads: 8,
        intermediate_size: 14_336,
        max_position_embeddings: 32_768,
      },
      ...{ rms_norm_eps: 1e-5, rope_theta: 1e4, sliding_window: 4096, tie_word_embeddings: false },
      ...{ bos_token_id: 1, eos_token_id: 2 },
    },
    { batch: 1 },
  ),
  decoder(
    'OPT-1.3B',
    'OPT',
    {
      ...{ model_type: 'opt', ...opt, hidden_size: 2048, word_embed_proj_dim: 2048 },
      ...{ num_hidden_layers: 24, num_attention_heads: 32, ffn_dim: 8192 },
    },
    { batch: 1 },
  ),
  decoder(
    'Llama-3.2-1B',
    'Llama',
    {
      ...{ model_type: 'llama', vocab_size: 128_256, hidden_size: 2048, num_hidden_layers: 16 },
      ...{ num_attention_heads: 32, num_key_value_heads: 8, head_dim: 64, intermediate_size: 8192 },
      ...{ max_position_embeddings: 131_072, rms_norm_eps: 1e-5, rope_theta: 5e5, tie_word_embeddings: true },
      ...{ bos_token_id: 128_000, eos_token_id: 128_001 },
      rope_scaling: {
        ...{ rope_type: 'llama3', factor: 32, low_freq_factor: 1, high_freq_factor: 4 },
        original_max_position_embeddings: 8192,
      },
    },
    { batch: 1 },
  ),
];
