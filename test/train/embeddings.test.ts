/**
 * Protects: LoRA on embeddings, and on a language model's head that shares the word embedding's matrix: each changes its own layer
 * alone, as in PEFT; what merging would mix up is refused; folders with PEFT's copies of base weights are read.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { UserError } from '../../engine/errors.ts';
import { openSafetensors, writeSafetensors, type TensorEntry } from '../../engine/io/safetensors.ts';
import { loadBaseModel, randomBaseModel } from '../../models/base-model.ts';
import { parseConfig } from '../../models/config.ts';
import { loadState, saveState } from '../../peft-model/pretrained.ts';
import { createState, toPeftModel, type PeftModelState } from '../../peft-model/assembly.ts';
import { assertMergeable, mergeAdapter } from '../../peft-model/convert.ts';
import { InferenceSession } from '../../train/evaluate.ts';
import { hostRandom } from '../../engine/random.ts';
import { createConfig } from '../../peft/create-config.ts';
import { tinySettings } from './tiny.ts';

const MODEL = join(import.meta.dirname, '..', 'goldens', 'families', 'gpt2-lm', 'model');
const SETTINGS = tinySettings({ targetModules: 'wte,wpe,lm_head,c_attn' });
const SEQ = 9;

let engine: Engine;
let dir: string;
let adapter: string;
let assembly: PeftModelState;
beforeAll(async () => {
  engine = await Engine.open();
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  adapter = join(dir, 'adapter');
  const base = await loadBaseModel(engine, MODEL, { head: 'causal-lm' });
  const peft = createConfig(SETTINGS, base.config, 'causal-lm');
  const fresh = await createState(engine, base, peft, 'causal-lm', [], 3);
  const random = hostRandom(8, 98);
  const moved = [...fresh.values].map(([name, v]) => [name, v.map((x) => x + 0.3 * random.normal())] as const);
  assembly = { ...fresh, values: new Map(moved) };
  await saveState(adapter, assembly);
});
afterAll(async () => {
  await rm(dir, { recursive: true });
  engine.close();
});

async function scores(model: PeftModelState): Promise<Float32Array> {
  const classifier = toPeftModel(engine, model);
  const forward = new InferenceSession(classifier);
  const zeros = new Int32Array(SEQ);
  const inputIds = zeros.map((_, i) => 3 + ((i * 17) % 90));
  const batch = { batch: 1, seq: SEQ, count: 1, indices: Int32Array.of(0), tokenTypeIds: zeros, labels: zeros };
  const all = { ...batch, inputIds, attentionMask: zeros.map(() => 1) };
  await forward.prepare(all);
  const found = await forward.run(all);
  forward.dispose();
  classifier.parameters.free();
  return found;
}

/** The checkpoint untied, with the modules on embeddings and head merged into a matrix of each one's own. */
async function untied(folder: string): Promise<void> {
  await cp(MODEL, folder, { recursive: true });
  const config = JSON.parse(await readFile(join(MODEL, 'config.json'), 'utf8')) as Record<string, unknown>;
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, tie_word_embeddings: false }));
  const file = await openSafetensors(MODEL);
  const modules = new Map(assembly.method!.modules.map((module) => [`${module.name}.weight`, module]));
  const entries: TensorEntry[] = [];
  const put = async (key: string, name: string, source = key): Promise<void> => {
    const weight = await file.readFloat32(source);
    const module = modules.get(name);
    const data = module ? assembly.method!.merge!(module, assembly.values, weight, 'merge') : weight;
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
  expect(assembly.method!.modules.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['transformer.wte', 'transformer.wpe', 'lm_head']),
  );
  const folder = join(dir, 'untied');
  await untied(folder);
  const { method, values } = assembly;
  const inBlocks = method!.modules.filter(({ name }) => name.endsWith('c_attn'));
  const base = await loadBaseModel(engine, folder, { head: 'causal-lm' });
  const expected = await scores({ ...assembly, base, method: method!.withModules(inBlocks), values });
  const found = await scores(assembly);
  const scale = Math.max(...expected.map(Math.abs));
  expect(Math.max(...found.map((v, i) => Math.abs(v - expected[i]!))) / scale).toBeLessThan(1e-5);
  const plain = await scores({ ...assembly, method: method!.withModules(inBlocks) });
  expect(Math.max(...plain.map((v, i) => Math.abs(v - expected[i]!))) / scale).toBeGreaterThan(0.01);
  base.free();
});

it('computes the same when it is read again', async () => {
  const again = await loadState(engine, MODEL, adapter, SETTINGS, { kind: 'causal-lm' });
  expect(await scores(again)).toEqual(await scores(assembly));
  again.base.free();
});

it('an adapter of a class that calls the layers otherwise is read under the names used here', async () => {
  const model = join(import.meta.dirname, '..', 'goldens', 'families', 'llama-lm');
  const [source, renamed] = [join(model, 'adapters', 'lora-patterns'), join(dir, 'renamed')];
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
  const [one, other] = [
    await loadState(engine, join(model, 'model'), source, SETTINGS),
    await loadState(engine, join(model, 'model'), renamed, SETTINGS),
  ];
  expect(other.method!.modules).toEqual(one.method!.modules);
  expect([...other.values]).toEqual([...one.values]);
  const again = join(dir, 'again');
  await saveState(again, other);
  const third = await loadState(engine, join(model, 'model'), again, SETTINGS);
  expect([...third.values]).toEqual([...one.values]);
  for (const { base } of [one, other, third]) base.free();
});

it('is not merged into a matrix that two layers share', async () => {
  await expect(mergeAdapter(MODEL, adapter, join(dir, 'merged'))).rejects.toThrow(
    /"lm_head" shares its matrix with transformer\.wte|"transformer\.wte" shares its matrix with lm_head/,
  );
});

it('is refused for DoRA', async () => {
  const settings = tinySettings({ targetModules: 'wte', peft: 'dora' });
  const peft = createConfig(settings, assembly.base.config, 'causal-lm');
  await expect(createState(engine, assembly.base, peft, 'causal-lm', [], 3)).rejects.toThrow(
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
  const again = await loadState(engine, MODEL, adapter, SETTINGS, { kind: 'causal-lm' });
  expect([...again.values.keys()].sort()).toEqual([...assembly.values.keys()].sort());
  again.base.free();
  table[5]! += 1;
  await writeSafetensors(weights, [...entries, ...copies]);
  await expect(loadState(engine, MODEL, adapter, SETTINGS, { kind: 'causal-lm' })).rejects.toThrow(UserError);
});

it.each(['ia3', 'dora'] as const)('%s on what scores the vocabulary treats its bias as PEFT does', async (peft) => {
  const raw = { model_type: 'bert', vocab_size: 50, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2 };
  const config = parseConfig(
    { ...raw, intermediate_size: 12, max_position_embeddings: 16, tie_word_embeddings: false },
    'config.json',
  );
  const random = hostRandom(5, 98);
  const base = randomBaseModel(engine, config, () => random.normal(), { head: 'masked-lm' });
  const bias = Float32Array.from({ length: 50 }, () => random.normal());
  engine.write(base.weights.get('cls.predictions.bias')!, bias);
  const settings = tinySettings({ peft, targetModules: 'cls.predictions.decoder' });
  const fresh = await createState(engine, base, createConfig(settings, config, 'masked-lm'), 'masked-lm', [], 3);
  const doubled = [...fresh.values].map(
    ([name, v]) => [name, /ia3|magnitude/.test(name) ? v.map((x) => 2 * x) : v] as const,
  );
  const plain = await scores({ ...fresh, method: undefined });
  const found = await scores({ ...fresh, values: new Map(doubled) });
  // (IA)³ scales the layer's output, DoRA its weight.
  const expected = plain.map((y, i) => 2 * y - (peft === 'dora' ? bias[i % 50]! : 0));
  const scale = Math.max(...expected.map(Math.abs));
  expect(Math.max(...found.map((v, i) => Math.abs(v - expected[i]!))) / scale).toBeLessThan(1e-5);
  const merge = () => assertMergeable(config, fresh, 'here');
  if (peft === 'ia3') expect(merge).toThrow(/cls\.predictions\.decoder.*cls\.predictions\.bias/);
  else expect(merge).not.toThrow();
  base.free();
});
