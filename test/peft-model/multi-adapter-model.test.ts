/** Protects: several adapters on one base — switching loads nothing, and merging comes out again bit for bit. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DataLoader, type Batch } from '../../data/data-loader.ts';
import { UserError } from '../../engine/errors.ts';
import type { RunOptions } from '../../experiments/options.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { logitsSession } from '../../peft-model/inference-session.ts';
import { MultiAdapterModel } from '../../peft-model/multi-adapter-model.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { openTestEngine } from '../engine.ts';
import { MODEL, tinyExamples, tinyModel, tinyOptions } from '../train/tiny.ts';

const KINDS: Readonly<Record<string, Partial<RunOptions['peft']>>> = {
  lora: {},
  embeddings: { targetModules: ['query', 'word_embeddings', 'position_embeddings', 'token_type_embeddings'] },
  dora: { method: 'dora' },
  ia3: { method: 'ia3' },
  houlsby: { method: 'houlsby' },
};
const engine = await openTestEngine();
const checkpoint = await loadModel(MODEL);
let dir: string;
let batch: Batch;
const folders = new Map<string, string>();
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  for (const [name, peft] of Object.entries(KINDS)) {
    using model = await tinyModel(engine, tinyOptions({ peft }));
    folders.set(name, join(dir, name));
    await model.savePretrained(join(dir, name));
  }
  const order = { batchSize: 4, order: 'file', seed: 0, padId: 1, maxLength: 24, fixedLength: true } as const;
  batch = new DataLoader(await tinyExamples(), order).at(0, 0);
});
afterAll(() => rm(dir, { recursive: true }));

async function alone(folder: string): Promise<Float32Array> {
  using model = await PeftModel.fromPretrained(engine, checkpoint, folder);
  using forward = logitsSession(model);
  await forward.prepare(batch);
  return await forward.run(batch);
}

it('each adapter computes what it computes alone; merged, the same to rounding; unmerged, the same bits', async () => {
  const before = engine.memory.byKind().weights ?? 0;
  const set = await MultiAdapterModel.fromPretrained(engine, checkpoint, folders);
  expect(set.names).toEqual(Object.keys(KINDS));
  const base = engine.memory.byKind().weights ?? 0;
  for (const name of [...set.names, ...set.names]) {
    set.setAdapter(name);
    expect(await set.run(batch), name).toEqual(await alone(folders.get(name)!));
  }
  expect(engine.memory.byKind().weights).toBe(base);
  for (const name of ['lora', 'embeddings', 'dora', 'ia3']) {
    set.setAdapter(name);
    const plain = await set.run(batch);
    await set.merge();
    expect(() => set.setAdapter('houlsby')).toThrow(/merged: unmerge it first/);
    const merged = await set.run(batch);
    expect(merged).not.toEqual(plain);
    expect(Math.max(...merged.map((v, i) => Math.abs(v - plain[i]!)))).toBeLessThan(1e-5);
    set.unmerge();
    for (const other of set.names) {
      set.setAdapter(other);
      expect(await set.run(batch), `${other} after ${name}`).toEqual(await alone(folders.get(other)!));
    }
  }
  set.setAdapter('houlsby');
  await expect(set.merge()).rejects.toThrow(UserError);
  expect(() => set.setAdapter('unheard-of')).toThrow(/expected one of lora, embeddings, dora/);
  set.dispose();
  expect(engine.memory.byKind().weights ?? 0).toBe(before);
});
