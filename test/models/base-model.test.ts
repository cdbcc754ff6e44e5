/** Protects: checkpoints of every family load under all names and storages that are in use: bare, old, sharded, f16, bf16, [in, out]. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeJson } from '../../engine/io/files.ts';
import { f16ToF32, f32ToF16 } from '../../engine/io/float16.ts';
import { openSafetensors, writeSafetensors, type TensorEntry } from '../../engine/io/safetensors.ts';
import { loadBaseModel, type BaseModel } from '../../models/base-model.ts';
import { setWarningHandler } from '../../engine/warnings.ts';
import { loadConfig } from '../../models/config.ts';
import { openTestEngine } from '../engine.ts';
import { MODELS, type Family } from '../train/tiny.ts';

const engine = await openTestEngine();
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function tensorsOf(model: string): Promise<TensorEntry[]> {
  const file = await openSafetensors(join(model, 'model.safetensors'));
  const entries: TensorEntry[] = [];
  for (const name of file.names) {
    entries.push({ name, dtype: 'F32', shape: file.info(name).shape, data: await file.readFloat32(name) });
  }
  await file.close();
  return entries;
}

async function valuesOf(base: BaseModel): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const [name, weight] of base.weights) values.set(name, await engine.read(weight));
  base.free();
  return values;
}

const load = async (model: string): Promise<Map<string, Float32Array>> => valuesOf(await loadBaseModel(engine, model));

/** A copy of a folder whose tensors are changed. */
async function changed(family: Family, name: string, change: (entry: TensorEntry) => TensorEntry): Promise<string> {
  const folder = join(dir, `${family}-${name}`);
  await cp(MODELS[family], folder, { recursive: true });
  const entries = (await tensorsOf(MODELS[family])).map(change);
  await writeSafetensors(join(folder, 'model.safetensors'), entries);
  return folder;
}

const floats = ({ data }: TensorEntry): Float32Array => data as Float32Array;

describe.each(Object.keys(MODELS) as Family[])('%s', (family) => {
  it('loads without the family’s prefix, and with gamma and beta', async () => {
    const { prefix } = (await loadConfig(MODELS[family])).architecture;
    const bare = (name: string): string => (name.startsWith(prefix) ? name.slice(prefix.length) : name);
    const old = (name: string): string =>
      name.replace(/(?<=LayerNorm\.)weight$/, 'gamma').replace(/(?<=LayerNorm\.)bias$/, 'beta');
    const folder = await changed(family, 'bare', (entry) => ({ ...entry, name: old(bare(entry.name)) }));
    expect(await load(folder)).toEqual(await load(MODELS[family]));
  });

  it('loads from shards', async () => {
    const folder = join(dir, `${family}-sharded`);
    await cp(MODELS[family], folder, { recursive: true });
    await rm(join(folder, 'model.safetensors'));
    const entries = await tensorsOf(MODELS[family]);
    const shards = [entries.slice(0, 7), entries.slice(7)];
    const map: Record<string, string> = {};
    for (const [i, shard] of shards.entries()) {
      const name = `model-0000${i + 1}-of-00002.safetensors`;
      await writeSafetensors(join(folder, name), shard);
      for (const entry of shard) map[entry.name] = name;
    }
    await writeJson(join(folder, 'model.safetensors.index.json'), { metadata: {}, weight_map: map });
    expect(await load(folder)).toEqual(await load(MODELS[family]));
  });

  it('loads f16 and bf16 as the values these hold', async () => {
    const half = await changed(family, 'f16', (entry) => ({ ...entry, dtype: 'F16', data: f32ToF16(floats(entry)) }));
    const brain = await changed(family, 'bf16', (entry) => ({
      ...entry,
      dtype: 'BF16',
      data: Uint16Array.from(new Uint32Array(floats(entry).slice().buffer), (bits) => bits >>> 16),
    }));
    const [whole, f16, bf16] = [await load(MODELS[family]), await load(half), await load(brain)];
    for (const [name, values] of whole) {
      expect(f16.get(name), name).toEqual(f16ToF32(f32ToF16(values)));
      const bits = new Uint32Array(values.slice().buffer).map((b) => b & 0xffff0000);
      expect(bf16.get(name), name).toEqual(new Float32Array(bits.buffer));
    }
  });
});

it('a vocabulary matrix that differs from the word embedding it is tied to is used beside it, with a warning', async () => {
  const folder = join(dir, 'untied');
  await cp(MODELS.gpt2, folder, { recursive: true });
  const entries = await tensorsOf(MODELS.gpt2);
  const words = entries.find(({ name }) => name === 'transformer.wte.weight')!;
  const write = (data: Float32Array): Promise<void> =>
    writeSafetensors(join(folder, 'model.safetensors'), [...entries, { ...words, name: 'lm_head.weight', data }]);
  await write(floats(words));
  (await loadBaseModel(engine, folder, { head: 'causal-lm' })).free();
  await write(floats(words).map((x, i) => x + Number(i === 77)));
  const said: string[] = [];
  const handler = setWarningHandler((text) => said.push(text));
  const base = await loadBaseModel(engine, folder, { head: 'causal-lm' }).finally(() => setWarningHandler(handler));
  const [own, shared] = ['lm_head', 'transformer.wte'].map((name) => base.weights.get(`${name}.weight`)!);
  expect((await engine.read(own!))[77]! - (await engine.read(shared!))[77]!).toBeCloseTo(1, 5);
  base.free();
  expect(said.join()).toMatch(/lm_head\.weight and transformer\.wte\.weight differ.*"tie_word_embeddings": false/);
});

it('GPT-2’s matrices are turned, and nothing else is', async () => {
  const stored = new Map((await tensorsOf(MODELS.gpt2)).map((entry) => [entry.name, entry]));
  const loaded = await load(MODELS.gpt2);
  for (const [name, values] of loaded) {
    const { shape, data } = stored.get(name)!;
    const [rows, cols] = shape as [number, number];
    const turned = /\.(c_attn|c_proj|c_fc)\.weight$/.test(name);
    const at = (i: number): number => (turned ? (i % rows) * cols + Math.floor(i / rows) : i);
    expect(values, name).toEqual(Float32Array.from(values, (_, i) => (data as Float32Array)[at(i)]!));
  }
});
