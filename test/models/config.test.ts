/** Protects: config.json is normalised as transformers reads it; anything the engine cannot run is refused by key. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { loadConfig, parseConfig, savedHead, unsupportedClass } from '../../models/config.ts';

const GOLDENS = join(import.meta.dirname, '../goldens');
const minimal = {
  model_type: 'roberta',
  vocab_size: 50,
  hidden_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  intermediate_size: 20,
  max_position_embeddings: 34,
};

test.each([
  ['roberta', { padTokenId: 1, typeVocabSize: 1, maxTokens: 30 }],
  ['bert', { padTokenId: 0, typeVocabSize: 2, maxTokens: 32 }],
])('a config.json written by transformers: %s', async (family, own) => {
  const config = await loadConfig(join(GOLDENS, family, 'model'));
  expect(config).toMatchObject({
    family,
    vocabSize: 200,
    hiddenSize: 32,
    numLayers: 2,
    numHeads: 4,
    intermediateSize: 64,
    hiddenAct: 'gelu',
    normEps: 1e-12,
    maxPositions: 32,
    hiddenDropout: 0,
    classifierDropout: 0,
    initializerRange: 0.15,
    labels: ['LABEL_0', 'LABEL_1', 'LABEL_2'],
    ...own,
  });
  expect(config.raw.transformers_version).toBe('5.18.0');
});

test('what transformers leaves out has its defaults', () => {
  expect(parseConfig(minimal, 'f')).toMatchObject({
    hiddenAct: 'gelu',
    normEps: 1e-12,
    typeVocabSize: 2,
    padTokenId: 1,
    hiddenDropout: 0.1,
    attentionDropout: 0.1,
    classifierDropout: 0.1,
    initializerRange: 0.02,
    labels: ['LABEL_0', 'LABEL_1'],
    problemType: undefined,
    maxTokens: 32,
  });
  expect(parseConfig({ ...minimal, model_type: 'bert' }, 'f')).toMatchObject({ padTokenId: 0, maxTokens: 34 });
});

test('names of transformers are translated; null stands for absent', () => {
  const config = parseConfig(
    {
      ...minimal,
      hidden_act: 'gelu_new',
      classifier_dropout: 0.3,
      problem_type: null,
      num_labels: 5,
      id2label: { 1: 'spam', 0: 'ham' },
    },
    'f',
  );
  expect(config).toMatchObject({ hiddenAct: 'gelu_tanh', classifierDropout: 0.3, labels: ['ham', 'spam'] });
  expect(config.problemType).toBeUndefined();
  expect(parseConfig({ ...minimal, num_labels: 1, id2label: null }, 'f').labels).toEqual(['LABEL_0']);
  expect(parseConfig({ ...minimal, id2label: { 0: 1, 1: 5 }, hidden_act: 'gelu_fast' }, 'f')).toMatchObject({
    labels: ['1', '5'],
    hiddenAct: 'gelu_tanh',
  });
});

test.each([
  [
    { model_type: 't5' },
    'key "model_type": found "t5", expected one of the supported bert, distilbert, gpt2, llama, mistral, opt, qwen2, roberta, xlm-roberta',
  ],
  [{ model_type: 'toString' }, 'key "model_type": found "toString", expected one of'],
  [{ model_type: undefined }, 'key "model_type": found nothing'],
  [{ hidden_size: undefined }, 'key "hidden_size": found nothing, expected'],
  [{ hidden_size: 'abc' }, 'key "hidden_size": found "abc", expected an integer from 1'],
  [{ hidden_size: 13 }, 'key "hidden_size": found 13, expected a multiple of num_attention_heads (3)'],
  [{ num_hidden_layers: 0 }, 'key "num_hidden_layers": found 0, expected an integer from 1'],
  [{ hidden_act: 'mish' }, 'key "hidden_act": found "mish", expected gelu, gelu_new'],
  [{ position_embedding_type: 'relative_key' }, 'found "relative_key", expected "absolute"'],
  [{ is_decoder: true }, 'key "is_decoder": found true, expected false'],
  [{ hidden_dropout_prob: 1 }, 'key "hidden_dropout_prob": found 1, expected a number in [0, 1)'],
  [{ max_position_embeddings: 2 }, 'key "max_position_embeddings": found 2, expected more than'],
  [{ pruned_heads: { 0: [1] } }, 'key "pruned_heads": heads pruned by transformers are not supported'],
  [{ quantization_config: { bits: 4 } }, 'key "quantization_config": quantised weights are not supported'],
  [{ id2label: { 0: 'a', 2: 'b' } }, 'key "id2label": no label 1, expected the keys "0" to "1"'],
])('%j is refused', (change, message) => {
  const parse = (): unknown => parseConfig({ ...minimal, ...change }, 'config.json');
  expect(parse).toThrow(UserError);
  expect(parse).toThrow(`config.json: ${message.startsWith('key') ? message : ''}`);
  expect(parse).toThrow(message);
});

test.each(['bert', 'opt', 'gpt2', 'llama', 'qwen2', 'mistral', 'distilbert'])(
  'whatever is under whichever key of %s is refused in words for people',
  (family) => {
    const whole = { ...minimal, n_embd: 12, n_layer: 2, n_head: 3, ffn_dim: 20 };
    const keys = [...Object.keys(whole), ...KEYS].filter((key) => key !== 'model_type');
    for (const key of keys)
      for (const value of [-1, 0.5, 'x', '', true, [], [{}], {}, { a: [] }, 1e300, null]) {
        try {
          parseConfig({ ...whole, model_type: family, [key]: value }, 'config.json');
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
          expect((error as Error).message, key).not.toMatch(
            /Invalid|Too |received|another value|expected int,|undefined/,
          );
          expect((error as Error).message, key).toMatch(/^config\.json: /);
        }
      }
  },
);

const KEYS = [
  'rope_scaling',
  'rope_parameters',
  'num_key_value_heads',
  'head_dim',
  'id2label',
  'problem_type',
  'tie_word_embeddings',
];

const decoders = {
  opt: { ...minimal, model_type: 'opt', ffn_dim: 20 },
  gpt2: { model_type: 'gpt2', vocab_size: 50, n_embd: 12, n_layer: 2, n_head: 3 },
  llama: { ...minimal, model_type: 'llama' },
  qwen2: { ...minimal, model_type: 'qwen2' },
  mistral: { ...minimal, model_type: 'mistral', sliding_window: 8 },
};

test('decoders have the defaults of transformers', () => {
  expect(parseConfig(decoders.opt, 'f')).toMatchObject({
    hiddenAct: 'relu',
    padTokenId: 1,
    maxPositions: 36,
    maxTokens: 34,
  });
  expect(parseConfig(decoders.gpt2, 'f')).toMatchObject({
    hiddenAct: 'gelu_tanh',
    intermediateSize: 48,
    maxTokens: 1024,
  });
  expect(parseConfig(decoders.llama, 'f')).toMatchObject({
    hiddenAct: 'silu',
    kvHeads: 3,
    headDim: 4,
    hasPadToken: false,
  });
  expect(parseConfig(decoders.mistral, 'f').maxTokens).toBe(8);
  const windowed = { ...decoders.qwen2, use_sliding_window: true };
  expect(parseConfig({ ...windowed, sliding_window: 9 }, 'f').maxTokens).toBe(9);
  expect(parseConfig({ ...decoders.llama, is_decoder: true, pad_token_id: -1 }, 'f').hasPadToken).toBe(false);
  const vocabulary = (raw: object): unknown => parseConfig(raw, 'f').architecture.heads['causal-lm']?.vocabulary;
  expect(vocabulary(decoders.gpt2)).toMatchObject({ tied: true });
  expect(vocabulary({ ...decoders.gpt2, tie_word_embeddings: false })).toMatchObject({ tied: false });
  expect(vocabulary(decoders.llama)).toMatchObject({ tied: false });
});

test.each([
  ['opt', { layer_norm_elementwise_affine: false }, 'key "layer_norm_elementwise_affine": found false, expected true'],
  ['gpt2', { n_head: 5 }, 'key "n_embd": found 12, expected a multiple of n_head (5)'],
  ['gpt2', { add_cross_attention: true }, 'key "add_cross_attention": found true, expected false'],
  ['llama', { num_key_value_heads: 2 }, 'found 3, expected a multiple of num_key_value_heads (2)'],
  ['llama', { head_dim: 3 }, 'key "head_dim": found 3, expected an even number'],
  ['llama', { partial_rotary_factor: 0.5 }, 'key "partial_rotary_factor": found 0.5, expected 1'],
] as const)('%s with %j is refused', (family, change, message) => {
  const parse = (): unknown => parseConfig({ ...decoders[family], ...change }, 'config.json');
  expect(parse).toThrow(UserError);
  expect(parse).toThrow(message);
});

test('the head a checkpoint was saved with is told by its class', () => {
  const saved = (name: string): unknown => savedHead(parseConfig({ ...minimal, architectures: [name] }, 'f'));
  expect(saved('RobertaForMaskedLM')).toBe('masked-lm');
  expect(saved('RobertaForMultipleChoice')).toBe('multiple-choice');
  expect(saved('RobertaModel')).toBeUndefined();
  expect(saved('RobertaForCausalLM')).toBeUndefined();
});

test('a class whose head is not supported is told from a bare model', () => {
  const other = (name?: string): unknown =>
    unsupportedClass(parseConfig({ ...minimal, ...(name !== undefined && { architectures: [name] }) }, 'f'));
  expect(other('RobertaForTokenClassification')).toBe('RobertaForTokenClassification');
  expect(['RobertaModel', 'RobertaForMaskedLM', undefined].map(other)).toEqual([undefined, undefined, undefined]);
});

test('a folder without config.json is named', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'config-'));
  await expect(loadConfig(dir)).rejects.toThrow(/config\.json: no such file/);
  await rm(dir, { recursive: true });
});
