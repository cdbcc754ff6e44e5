/** Protects: checkpoints written by `merge` have the names under which transformers looks for them. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSafetensors, writeSafetensors, type TensorEntry } from '../../engine/io/safetensors.ts';
import { mergeAdapter } from '../../peft-model/convert.ts';
import { MODELS } from '../train/tiny.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

it('a bare model merged with a head gets the prefix of models with heads', async () => {
  const bare = join(dir, 'bare');
  await cp(MODELS.bert, bare, { recursive: true });
  const file = await openSafetensors(MODELS.bert);
  const entries: TensorEntry[] = [];
  for (const name of file.names.filter((n) => n.startsWith('bert.'))) {
    const old = name.slice('bert.'.length).replace(/LayerNorm\.weight$/, 'LayerNorm.gamma');
    entries.push({ name: old, dtype: 'F32', shape: file.info(name).shape, data: await file.readFloat32(name) });
  }
  const names = [...file.names].sort();
  await file.close();
  await writeSafetensors(join(bare, 'model.safetensors'), entries);
  await mergeAdapter(bare, join(MODELS.bert, '..', 'adapter-final'), join(dir, 'merged'));
  const merged = await openSafetensors(join(dir, 'merged'));
  await merged.close();
  expect([...merged.names].sort()).toEqual(names);
});
