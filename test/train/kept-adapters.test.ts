/** Protects: no more adapters of the way stay than asked for, never without the best and the latest, and nothing else is removed. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { KeptAdapters } from '../../train/kept-adapters.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'kept-'));
});
afterEach(() => rm(dir, { recursive: true }));

const kept = (limit: number): KeptAdapters =>
  new KeptAdapters(dir, limit, async (folder) => {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'adapter_config.json'), '{}');
  });
const left = async (): Promise<string[]> => (await readdir(dir)).sort();

it.each([
  [1, ['checkpoint-200', 'checkpoint-500']],
  [2, ['checkpoint-200', 'checkpoint-500']],
  [3, ['checkpoint-200', 'checkpoint-400', 'checkpoint-500']],
  [9, ['checkpoint-100', 'checkpoint-200', 'checkpoint-300', 'checkpoint-400', 'checkpoint-500']],
])('of a limit of %i', async (limit, expected) => {
  for (const step of [100, 200, 300, 400, 500]) await kept(limit).keep(step, step === 100 ? 100 : 200);
  expect(await left()).toEqual(expected);
});

it('without a best the latest stay, by their numbers', async () => {
  for (const step of [8, 9, 10, 11]) await kept(2).keep(step, undefined);
  expect(await left()).toEqual(['checkpoint-10', 'checkpoint-11']);
});

it('what a run left that came further is removed on going on; other names are not touched', async () => {
  await mkdir(join(dir, 'checkpoint-best'));
  await writeFile(join(dir, 'checkpoint.safetensors'), '');
  for (const step of [10, 20, 30]) await kept(9).keep(step, undefined);
  await kept(9).begin(20);
  expect(await left()).toEqual(['checkpoint-10', 'checkpoint-20', 'checkpoint-best', 'checkpoint.safetensors']);
  await kept(9).begin(0);
  expect(await left()).toEqual(['checkpoint-best', 'checkpoint.safetensors']);
});
