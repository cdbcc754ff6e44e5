/** Protects: which parts the paper's table has, and in which order they are run. */
import { expect, it } from 'vitest';
import { choicesOf, configOf, partsOf, readTable } from '../../scripts/paper/table.ts';

it('has every part once, what decides most first', async () => {
  const parts = partsOf(await readTable());
  const names = parts.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.slice(0, 4)).toEqual([
    'sst2/lora/reference/0/seed-0',
    'sst2/lora/light-peft/0.5/seed-0',
    'sst2/lora/random/0.5/seed-0',
    'sst2/lora/reference/0/seed-1',
  ]);
});

it('chooses learning rates on a part of the training data, with a seed of its own', async () => {
  const table = await readTable();
  const parts = partsOf(table);
  const seeds = new Set(parts.map(({ seed }) => seed));
  for (const part of parts) {
    const choices = choicesOf(part, table);
    expect(choices.map(({ lr }) => lr)).toEqual(table['learning-rates'].values);
    for (const choice of choices) {
      expect(seeds).not.toContain(choice.seed);
      expect(configOf(choice, table, choice.lr!, {})).toMatchObject({ 'selection-split': 0.1, lr: choice.lr });
    }
    expect(configOf(part, table, 1e-3, {})).not.toHaveProperty('selection-split');
  }
});

it('prunes heads and neurons alike, and nothing of PEFT alone', async () => {
  const table = await readTable();
  for (const part of partsOf(table)) {
    const config = configOf(part, table, 1e-3, { model: 'm' });
    expect(config).toMatchObject({ methods: part.method, seed: part.seed, peft: part.peft, model: 'm' });
    if (part.method === 'reference') expect(config).not.toHaveProperty('heads-ratio');
    else expect([config['heads-ratio'], config['ffn-ratio']]).toEqual([part.ratio, part.ratio]);
  }
});
