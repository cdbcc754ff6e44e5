/** Protects: several adapters on one base — switching loads nothing, and merging comes out again bit for bit. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { UserError } from '../../engine/errors.ts';
import { MultiAdapterModel } from '../../peft-model/multi-adapter-model.ts';
import { loadState, saveState } from '../../peft-model/pretrained.ts';
import { toPeftModel } from '../../peft-model/assembly.ts';
import { DataLoader, type Batch } from '../../data/data-loader.ts';
import { InferenceSession } from '../../train/evaluate.ts';
import type { Settings } from '../../train/settings.ts';
import { MODEL, tinyAssembly, tinyExamples, tinySettings } from '../train/tiny.ts';

const KINDS = {
  lora: {},
  embeddings: { targetModules: 'query,word_embeddings,position_embeddings,token_type_embeddings' },
  dora: { peft: 'dora' },
  ia3: { peft: 'ia3' },
  houlsby: { peft: 'houlsby' },
} as const satisfies Record<string, Partial<Settings>>;
const settings = tinySettings();
let engine: Engine;
let dir: string;
let batch: Batch;
const folders = new Map<string, string>();
beforeAll(async () => {
  engine = await Engine.open();
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  for (const [name, changes] of Object.entries(KINDS)) {
    const assembly = await tinyAssembly(engine, tinySettings(changes));
    folders.set(name, join(dir, name));
    await saveState(join(dir, name), assembly);
    assembly.base.free();
  }
  const order = { batchSize: 4, order: 'file', seed: 0, padId: 1, maxLength: 24, fixedLength: true } as const;
  batch = new DataLoader(await tinyExamples(), order).at(0, 0);
});
afterAll(async () => {
  await rm(dir, { recursive: true });
  engine.close();
});

async function alone(folder: string): Promise<Float32Array> {
  const artefact = await loadState(engine, MODEL, folder, settings);
  const classifier = toPeftModel(engine, artefact);
  const forward = new InferenceSession(classifier);
  await forward.prepare(batch);
  const scores = await forward.run(batch);
  forward.dispose();
  classifier.parameters.free();
  artefact.base.free();
  return scores;
}

it('each adapter computes what it computes alone; merged, the same to rounding; unmerged, the same bits', async () => {
  const before = engine.memory.byKind().weights ?? 0;
  const set = await MultiAdapterModel.open(engine, MODEL, folders, settings);
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
  set.free();
  expect(engine.memory.byKind().weights ?? 0).toBe(before);
});
