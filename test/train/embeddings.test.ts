/**
 * Protects: LoRA on embeddings, and on a language model's head that shares the word embedding's matrix: each changes its own layer
 * alone, as in PEFT; what merging would mix up is refused; folders with PEFT's copies of base weights are read.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { openSafetensors, writeSafetensors, type TensorEntry } from '../../engine/io/safetensors.ts';
import { loadBaseModel, randomBaseModel } from '../../models/base-model.ts';
import { parseConfig } from '../../models/config.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { mergeAdapter } from '../../peft-model/convert.ts';
import { getPeftModel } from '../../peft-model/create.ts';
import { logitsSession } from '../../peft-model/inference-session.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { readState } from '../../peft-model/pretrained.ts';
import type { PeftMethod, StateDict } from '../../peft/module.ts';
import { hostRandom } from '../../engine/random.ts';
import { peftConfig } from '../../peft/create-config.ts';
import { openTestEngine } from '../engine.ts';
import { tinyOptions } from './tiny.ts';

const MODEL = join(import.meta.dirname, '..', 'goldens', 'families', 'gpt2-lm', 'model');
const PEFT = peftConfig(tinyOptions({ peft: { targetModules: ['wte', 'wpe', 'lm_head', 'c_attn'] } }).peft);
const HEAD = { head: 'causal-lm', labels: [], seed: 3 } as const;
const SEQ = 9;

const engine = await openTestEngine();
let dir: string;
let adapter: string;
let model: PeftModel;
let method: PeftMethod;
let values: StateDict;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  adapter = join(dir, 'adapter');
  model = await getPeftModel(engine, await loadModel(MODEL), PEFT, HEAD);
  method = model.method!;
  const random = hostRandom(8, 98);
  const fresh = await model.stateDict();
  model.loadStateDict(new Map([...fresh].map(([name, v]) => [name, v.map((x) => x + 0.3 * random.normal())])));
  values = await model.stateDict();
  await model.savePretrained(adapter);
});
afterAll(async () => {
  model.dispose();
  await rm(dir, { recursive: true });
});

async function load(folder: string, from?: string): Promise<PeftModel> {
  return PeftModel.fromPretrained(engine, await loadModel(folder), from);
}

async function scores(of: PeftModel): Promise<Float32Array> {
  using session = logitsSession(of);
  const zeros = new Int32Array(SEQ);
  const inputIds = zeros.map((_, i) => 3 + ((i * 17) % 90));
  const batch = { batch: 1, seq: SEQ, count: 1, indices: Int32Array.of(0), tokenTypeIds: zeros, labels: zeros };
  const all = { ...batch, inputIds, attentionMask: zeros.map(() => 1) };
  return await session.run(all);
}

/** The checkpoint untied, with the modules on embeddings and head merged into a matrix of each one's own. */
async function untied(folder: string): Promise<void> {
  await cp(MODEL, folder, { recursive: true });
  const config = JSON.parse(await readFile(join(MODEL, 'config.json'), 'utf8')) as Record<string, unknown>;
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, tie_word_embeddings: false }));
  const file = await openSafetensors(MODEL);
  const modules = new Map(method.modules.map((module) => [`${module.name}.weight`, module]));
  const entries: TensorEntry[] = [];
  const put = async (key: string, name: string, source = key): Promise<void> => {
    const weight = await file.readFloat32(source);
    const module = modules.get(name);
    const data = module ? method.merge!(module, values, weight, 'merge') : weight;
    entries.push({ name: key, dtype: 'F32', shape: file.info(source).shape, data });
  };
  for (const key of file.names) {
    const name = key.startsWith('transformer.') ? key : `transformer.${key}`;
    await put(key, /w[tp]e\.weight$/.test(key) ? name : '');
  }
  await put(
    'lm_head.weight',
    'lm_head.weight',
    file.names.find((key) => key.endsWith('wte.weight')),
  );
  await file.close();
  await writeSafetensors(join(folder, 'model.safetensors'), entries);
}

it('each module changes its own layer: scores are those of an untied model with the two matrices merged apart', async () => {
  expect(method.modules.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['transformer.wte', 'transformer.wpe', 'lm_head']),
  );
  const folder = join(dir, 'untied');
  await untied(folder);
  const inBlocks = method.withModules(method.modules.filter(({ name }) => name.endsWith('c_attn')));
  const { peft, head, labels } = model;
  const state = { method: inBlocks, peft, values, head, labels };
  using apart = new PeftModel(engine, { base: await loadBaseModel(engine, folder, { head }) }, state);
  const expected = await scores(apart);
  const found = await scores(model);
  const scale = Math.max(...expected.map(Math.abs));
  expect(Math.max(...found.map((v, i) => Math.abs(v - expected[i]!))) / scale).toBeLessThan(1e-5);
  using tied = new PeftModel(engine, { base: model.base, shared: true }, state);
  const plain = await scores(tied);
  expect(Math.max(...plain.map((v, i) => Math.abs(v - expected[i]!))) / scale).toBeGreaterThan(0.01);
});

it('computes the same when it is read again', async () => {
  using again = await PeftModel.fromPretrained(engine, await loadModel(MODEL), adapter, { head: 'causal-lm' });
  expect(await scores(again)).toEqual(await scores(model));
});

it('an adapter of a class that calls the layers otherwise is read under the names used here', async () => {
  const llama = join(import.meta.dirname, '..', 'goldens', 'families', 'llama-lm');
  const [source, renamed] = [join(llama, 'adapters', 'lora-patterns'), join(dir, 'renamed')];
  await cp(source, renamed, { recursive: true });
  const weights = join(renamed, 'adapter_model.safetensors');
  const file = await openSafetensors(weights);
  const entries = await Promise.all(
    file.names.map(async (name): Promise<TensorEntry> => ({
      name: name.replace('base_model.model.model.', 'base_model.model.transformer.'),
      dtype: 'F32',
      shape: file.info(name).shape,
      data: await file.readFloat32(name),
    })),
  );
  await file.close();
  await writeSafetensors(weights, entries);
  const config = join(renamed, 'adapter_config.json');
  const text = await readFile(config, 'utf8');
  await writeFile(config, text.replaceAll('model.layers', 'transformer.layers'));
  using one = await load(join(llama, 'model'), source);
  using other = await load(join(llama, 'model'), renamed);
  expect(other.method!.modules).toEqual(one.method!.modules);
  const expected = await one.stateDict();
  expect([...(await other.stateDict())]).toEqual([...expected]);
  const again = join(dir, 'again');
  await other.savePretrained(again);
  using third = await load(join(llama, 'model'), again);
  expect([...(await third.stateDict())]).toEqual([...expected]);
});

it('merged, each of two layers that shared a matrix has its own, on disk and on the device, until it is taken out', async () => {
  const merged = join(dir, 'merged');
  await mergeAdapter(MODEL, adapter, merged);
  const before = await scores(model);
  const scale = Math.max(...before.map(Math.abs));
  const expectClose = (found: Float32Array): void =>
    expect(Math.max(...found.map((v, i) => Math.abs(v - before[i]!))) / scale).toBeLessThan(1e-5);
  using whole = await PeftModel.fromPretrained(engine, await loadModel(merged), undefined, { head: 'causal-lm' });
  expectClose(await scores(whole));
  const shared = model.base.weights.get('lm_head.weight')!;
  const bits = await engine.read(shared);
  await model.merge();
  expect(model.base.weights.get('lm_head.weight')).not.toBe(model.base.weights.get('transformer.wte.weight'));
  expectClose(await scores(model));
  model.unmerge();
  expect(model.base.weights.get('lm_head.weight')).toBe(shared);
  expect(model.base.weights.get('transformer.wte.weight')).toBe(shared);
  expect(await engine.read(shared)).toEqual(bits);
  expect(await scores(model)).toEqual(before);
});

it('is refused for DoRA', async () => {
  const dora = peftConfig({ method: 'dora', targetModules: ['wte'] });
  await expect(getPeftModel(engine, await loadModel(MODEL), dora, HEAD)).rejects.toThrow(
    /transformer\.wte is an embedding, or tied to one; only LoRA/,
  );
});

it('PEFT’s copies of base weights are read where they are the base’s, and refused where not', async () => {
  const weights = join(adapter, 'adapter_model.safetensors');
  const [own, base] = await Promise.all([openSafetensors(weights), openSafetensors(MODEL)]);
  const entries: TensorEntry[] = await Promise.all(
    own.names.map(async (name) => ({
      name,
      dtype: 'F32' as const,
      shape: own.info(name).shape,
      data: await own.readFloat32(name),
    })),
  );
  const key = base.names.find((name) => name.endsWith('wte.weight'))!;
  const table = await base.readFloat32(key);
  const copies = ['transformer.wte', 'lm_head'].map((name): TensorEntry => ({
    name: `base_model.model.${name}.base_layer.weight`,
    dtype: 'F32',
    shape: base.info(key).shape,
    data: table,
  }));
  await Promise.all([own.close(), base.close()]);
  await writeSafetensors(weights, [...entries, ...copies]);
  const checkpoint = await loadModel(MODEL);
  using again = await PeftModel.fromPretrained(engine, checkpoint, adapter, { head: 'causal-lm' });
  expect([...(await again.stateDict()).keys()].sort()).toEqual([...values.keys()].sort());
  expect([...(await readState(adapter, checkpoint)).values.keys()].sort()).toEqual([...values.keys()].sort());
  table[5]! += 1;
  await writeSafetensors(weights, [...entries, ...copies]);
  await expect(PeftModel.fromPretrained(engine, checkpoint, adapter, { head: 'causal-lm' })).rejects.toThrow(UserError);
});

it.each(['ia3', 'dora'] as const)('%s on what scores the vocabulary treats its bias as PEFT does', async (kind) => {
  const raw = { model_type: 'bert', vocab_size: 50, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2 };
  const config = parseConfig(
    { ...raw, intermediate_size: 12, max_position_embeddings: 16, tie_word_embeddings: false },
    'config.json',
  );
  const random = hostRandom(5, 98);
  const base = randomBaseModel(engine, config, () => random.normal(), { head: 'masked-lm' });
  const bias = Float32Array.from({ length: 50 }, () => random.normal());
  engine.write(base.weights.get('cls.predictions.decoder.bias')!, bias);
  const { peft } = tinyOptions({ peft: { method: kind, targetModules: ['cls.predictions.decoder'] } });
  using fresh = await getPeftModel(engine, base, peftConfig(peft), { ...HEAD, head: 'masked-lm' });
  const start = await fresh.stateDict();
  const doubled = [...start].map(([name, v]) => [name, /ia3|magnitude/.test(name) ? v.map((x) => 2 * x) : v] as const);
  const state = { method: undefined, peft: fresh.peft, values: start, head: fresh.head, labels: fresh.labels };
  using bare = new PeftModel(engine, { base, shared: true }, state);
  const plain = await scores(bare);
  fresh.loadStateDict(new Map(doubled));
  const found = await scores(fresh);
  // (IA)³ scales the layer's output, DoRA its weight.
  const expected = plain.map((y, i) => 2 * y - (kind === 'dora' ? bias[i % 50]! : 0));
  const scale = Math.max(...expected.map(Math.abs));
  expect(Math.max(...found.map((v, i) => Math.abs(v - expected[i]!))) / scale).toBeLessThan(1e-5);
  using merged = new PeftModel(
    engine,
    { base, shared: true },
    { ...state, method: fresh.method, values: new Map(doubled) },
  );
  await merged.merge();
  const after = await scores(merged);
  expect(Math.max(...after.map((v, i) => Math.abs(v - expected[i]!))) / scale).toBeLessThan(1e-5);
});
