/** Protects: the tokenizer is loaded for texts alone. Data of token ids is read with a tokenizer that nothing can be made of. */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadData } from '../../data/source.ts';
import { loadModel } from '../../models/checkpoint.ts';

const FAMILIES = join(import.meta.dirname, '..', 'goldens', 'families');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  for (const name of ['distilbert-cls', 'gpt2-lm']) {
    await cp(join(FAMILIES, name, 'model'), join(dir, name), { recursive: true });
    await writeFile(join(dir, name, 'tokenizer.json'), 'no tokenizer');
  }
});
afterAll(() => rm(dir, { recursive: true }));

async function load(model: string, ...rows: object[]) {
  const train = join(dir, 'rows.jsonl');
  await writeFile(train, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return loadData(await loadModel(join(dir, model)), { train });
}

describe('a damaged tokenizer', () => {
  it('does not matter to token ids', async () => {
    const rows = [0, 1].map((label) => ({ input_ids: [1, 5, 2], label }));
    const classified = await load('distilbert-cls', ...rows);
    expect([...classified.train.at(0)!.ids]).toEqual([1, 5, 2]);
    const learned = await load('gpt2-lm', { input_ids: [3, 4], labels: [3, 4] });
    expect([...learned.train.at(0)!.ids]).toEqual([3, 4]);
  });

  it('is told when a text comes', async () => {
    await expect(load('distilbert-cls', { text: 'fine', label: 0 })).rejects.toThrow(/tokenizer\.json/);
    await expect(load('gpt2-lm', { prompt: 'a', completion: ' b' })).rejects.toThrow(/tokenizer\.json/);
  });
});
