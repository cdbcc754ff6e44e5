/** Protects: decoders in the forms that the reference checkpoints do not show, against float64. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sizeOf } from '../../engine/graph/shape.ts';
import { writeJson } from '../../engine/io/files.ts';
import { openSafetensors, writeSafetensors, type TensorEntry } from '../../engine/io/safetensors.ts';
import { baseWeightShapes } from '../../models/base-model.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { loadConfig, parseConfig } from '../../models/config.ts';
import { frozenHeadShapes } from '../../models/heads.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { logitsSession } from '../../peft-model/inference-session.ts';
import { DataLoader, type Batch } from '../../data/data-loader.ts';
import { openTestEngine } from '../engine.ts';
import { randomWeight, ReferenceDecoder } from '../models/reference.ts';
import { MODELS } from './tiny.ts';

const engine = await openTestEngine();
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

const common = { vocab_size: 40, num_hidden_layers: 2, max_position_embeddings: 12, pad_token_id: 1 };
const opt = { ...common, model_type: 'opt', hidden_size: 24, num_attention_heads: 3, ffn_dim: 20 };
const llama = { ...common, hidden_size: 16, num_attention_heads: 4, intermediate_size: 24 };

const FORMS: readonly (readonly [string, Record<string, unknown>])[] = [
  ['OPT, plain', { ...opt, word_embed_proj_dim: 24 }],
  ['OPT, post-norm with projected words', { ...opt, word_embed_proj_dim: 10, do_layer_norm_before: false }],
  ['OPT, pre-norm without last normalisation', { ...opt, word_embed_proj_dim: 10, _remove_final_layer_norm: true }],
  ['OPT with another activation', { ...opt, word_embed_proj_dim: 24, activation_function: 'quick_gelu' }],
  ['OPT without biases and ties', { ...opt, word_embed_proj_dim: 24, enable_bias: false, tie_word_embeddings: false }],
  ['Llama with biases', { ...llama, model_type: 'llama', attention_bias: true, mlp_bias: true }],
  [
    'Llama, tied, heads wider than hidden states',
    { ...llama, model_type: 'llama', head_dim: 6, tie_word_embeddings: true },
  ],
  ['Mistral', { ...llama, model_type: 'mistral', num_key_value_heads: 2, sliding_window: 4096, rope_theta: 1e6 }],
  ['Qwen2', { ...llama, model_type: 'qwen2', num_key_value_heads: 1, use_sliding_window: false, sliding_window: 8 }],
];

function batchOf(sequences: readonly (readonly number[])[]): Batch {
  const examples = sequences.map((ids) => {
    const [mask, typeIds] = [new Int32Array(ids.length).fill(1), new Int32Array(ids.length)];
    return { ids: Int32Array.from(ids), mask, typeIds, label: -100 };
  });
  return new DataLoader(examples, { batchSize: 2, order: 'file', seed: 0, padId: 1, maxLength: 12 }).at(0, 0);
}

/** The scores of every token by the checkpoint in a folder. */
async function run(folder: string, batch: Batch): Promise<Float32Array> {
  using model = await PeftModel.fromPretrained(engine, await loadModel(folder));
  using session = logitsSession(model);
  return await session.run(batch);
}

it.each(FORMS)('%s', async (_, raw) => {
  const config = parseConfig({ ...raw, architectures: ['ForCausalLM'] }, 'config.json');
  const shapes = [...baseWeightShapes(config), ...frozenHeadShapes(config, 'causal-lm')];
  const weights = new Map(shapes.map(([name, shape], i) => [name, randomWeight(name, sizeOf(shape), i + 1)]));
  await writeJson(join(dir, 'config.json'), config.raw);
  const entries = shapes.map(([name, shape]) => ({ name, shape, dtype: 'F32' as const, data: weights.get(name)! }));
  await writeSafetensors(join(dir, 'model.safetensors'), entries);

  const sequences = [
    [5, 17, 3, 38, 9, 21, 30, 2, 11],
    [7, 7, 12, 39],
  ];
  const batch = batchOf(sequences);
  const scores = await run(dir, batch);

  const reference = new ReferenceDecoder(raw, (name) => weights.get(name));
  sequences.forEach((ids, row) => {
    const expected = reference.logits(ids);
    const scale = Math.max(...expected.flat().map(Math.abs));
    const differences = expected.flatMap((token, t) =>
      token.map((value, v) => Math.abs(value - scores[(row * batch.seq + t) * 40 + v]!)),
    );
    expect(Math.max(...differences) / scale).toBeLessThan(1e-5);
  });
});

it.each([
  [{ scale_attn_by_inverse_layer_idx: true }, (layer: number) => 1 / (layer + 1)],
  [{ scale_attn_weights: false }, () => Math.sqrt(8)],
] as const)('GPT-2 with %j is GPT-2 with scaled queries', async (change, factorOf) => {
  const config = (await loadConfig(MODELS.gpt2)).raw;
  const file = await openSafetensors(MODELS.gpt2);
  const entries = await Promise.all(
    file.names.map(async (name): Promise<TensorEntry> => {
      // Large enough for attention to choose.
      const grown = name.includes('c_attn') ? 20 : 1;
      const data = (await file.readFloat32(name)).map((x) => x * grown);
      return { name, dtype: 'F32', shape: file.info(name).shape, data };
    }),
  );
  await file.close();
  const scaled = entries.map((entry): TensorEntry => {
    const layer = /h\.(\d+)\.attn\.c_attn/.exec(entry.name)?.[1];
    if (layer === undefined) return entry;
    // Stored [in, 3·D]: the first D of 32 are the queries.
    const factor = factorOf(Number(layer));
    return { ...entry, data: (entry.data as Float32Array).map((x, i) => (i % 96 < 32 ? x * factor : x)) };
  });
  const batch = batchOf([[5, 17, 3, 38, 9], [7]]);
  const write = async (raw: object, tensors: readonly TensorEntry[]): Promise<void> => {
    await writeJson(join(dir, 'config.json'), raw);
    await writeSafetensors(join(dir, 'model.safetensors'), tensors);
  };
  await write({ ...config, ...change }, entries);
  const found = await run(dir, batch);
  await write(config, scaled);
  const expected = await run(dir, batch);
  await write(config, entries);
  const plain = await run(dir, batch);
  const distance = (a: Float32Array): number => Math.max(...a.map((x, i) => Math.abs(x - expected[i]!)));
  expect(distance(found)).toBeLessThan(1e-5);
  expect(distance(plain)).toBeGreaterThan(1e-4);
});
