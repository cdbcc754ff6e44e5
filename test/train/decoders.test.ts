/** Protects: decoders in the forms that the reference checkpoints do not show, against float64. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { sizeOf } from '../../engine/graph/shape.ts';
import { writeJson } from '../../engine/io/files.ts';
import { writeSafetensors } from '../../engine/io/safetensors.ts';
import { baseWeightShapes } from '../../models/base-model.ts';
import { parseConfig } from '../../models/config.ts';
import { frozenHeadShapes } from '../../models/heads.ts';
import { loadArtefact } from '../../train/artefact.ts';
import { toClassifier } from '../../train/assembly.ts';
import { Batches } from '../../train/data/batches.ts';
import { Forward } from '../../train/evaluate.ts';
import { randomWeight, ReferenceDecoder } from '../models/reference.ts';

let engine: Engine;
let dir: string;
beforeAll(async () => {
  engine = await Engine.open();
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(async () => {
  engine.close();
  await rm(dir, { recursive: true });
});

const common = { vocab_size: 40, num_hidden_layers: 2, max_position_embeddings: 12, pad_token_id: 1 };
const opt = { ...common, model_type: 'opt', hidden_size: 24, num_attention_heads: 3, ffn_dim: 20 };
const llama = { ...common, hidden_size: 16, num_attention_heads: 4, intermediate_size: 24 };

const FORMS: readonly (readonly [string, Record<string, unknown>])[] = [
  ['OPT, plain', { ...opt, word_embed_proj_dim: 24 }],
  ['OPT, post-norm with projected words', { ...opt, word_embed_proj_dim: 10, do_layer_norm_before: false }],
  ['OPT, pre-norm without last normalisation', { ...opt, word_embed_proj_dim: 10, _remove_final_layer_norm: true }],
  ['OPT without biases and ties', { ...opt, word_embed_proj_dim: 24, enable_bias: false, tie_word_embeddings: false }],
  ['Llama with biases', { ...llama, model_type: 'llama', attention_bias: true, mlp_bias: true }],
  [
    'Llama, tied, heads wider than hidden states',
    { ...llama, model_type: 'llama', head_dim: 6, tie_word_embeddings: true },
  ],
  ['Mistral', { ...llama, model_type: 'mistral', num_key_value_heads: 2, sliding_window: 4096, rope_theta: 1e6 }],
  ['Qwen2', { ...llama, model_type: 'qwen2', num_key_value_heads: 1, use_sliding_window: false, sliding_window: 8 }],
];

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
  const examples = sequences.map((ids) => {
    const [mask, typeIds] = [new Int32Array(ids.length).fill(1), new Int32Array(ids.length)];
    return { ids: Int32Array.from(ids), mask, typeIds, label: -100 };
  });
  const batch = new Batches(examples, { batchSize: 2, order: 'file', seed: 0, padId: 1, maxLength: 12 }).at(0, 0);
  const artefact = await loadArtefact(engine, dir, undefined, { weights: 'f32', embeddings: 'device' });
  const forward = new Forward(toClassifier(engine, artefact));
  await forward.prepare(batch);
  const scores = await forward.run(batch);
  forward.dispose();
  artefact.base.free();

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
