/** Protects: which parts the paper's table has, and in which order they are run. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { presetFlags } from '../../experiments/settings.ts';
import { answerScores, splitArticles } from '../../scripts/paper/articles.ts';
import { readPart } from '../../scripts/paper/run-part.ts';
import {
  candidatesOf,
  choicesOf,
  configOf,
  partsOf,
  readTable,
  type Part,
  type Table,
} from '../../scripts/paper/table.ts';

it('has every part once, what decides most first', async () => {
  const parts = partsOf(await readTable());
  const names = parts.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.slice(0, 6)).toEqual([
    'sst2/lora/reference/0/seed-0',
    'sst2/lora/light-peft+/0.5/seed-0',
    'sst2/lora/random+/0.5/seed-0',
    'sst2/lora/light-peft/0.5/seed-0',
    'sst2/lora/random/0.5/seed-0',
    'cola-long/lora/reference/0/seed-0',
  ]);
});

it('has the preset light-peft+ as it is', async () => {
  const { methods } = await readTable();
  const { 'heads-ratio': _, 'ffn-ratio': __, ...preset } = presetFlags('light-peft+');
  expect(methods['light-peft+']!.options).toEqual({ methods: 'light-peft', ...preset });
});

it('chooses learning rates on a part of the training data, with a seed of its own', async () => {
  const table = await readTable();
  const parts = partsOf(table);
  const seeds = new Set(parts.map(({ seed }) => seed));
  const ratesOf = (task: string) =>
    table.tasks[table.tasks[task]!['rates-of'] ?? task]!['learning-rates'] ?? table['learning-rates'].values;
  for (const part of parts) {
    const choices = choicesOf(part, table);
    expect(choices.map(({ lr }) => lr)).toEqual(ratesOf(part.task));
    for (const choice of choices) {
      expect(seeds).not.toContain(choice.seed);
      expect(configOf(choice, table, choice.lr!, {})).toMatchObject({ 'selection-split': 0.1, lr: choice.lr });
    }
    expect(configOf(part, table, 1e-3, {})).not.toHaveProperty('selection-split');
  }
});

it('has no part that was run by another table', async () => {
  const table = await readTable();
  const parts = [...partsOf(table), ...candidatesOf(table)];
  const all = [...parts, ...parts.flatMap((part) => choicesOf(part, table))];
  const kept = (await Promise.all(all.map((part) => readPart(part, table)))).flatMap((part) => part ?? []);
  expect(kept.length).toBeGreaterThan(0);
  const longer = { ...table, common: { ...table.common, steps: 800 } };
  const [first] = all as [Part];
  await expect(readPart(first, longer)).rejects.toThrow(
    /seed-0\.json: was run with steps 400, where bench\/paper\/table\.yaml has 800/,
  );
});

it('chooses the learning rates of a long run by a short one', async () => {
  const table = await readTable();
  const part = partsOf(table).find(({ name }) => name === 'cola-long/lora/light-peft+/0.5/seed-0')!;
  const [choice] = choicesOf(part, table) as [Part];
  expect(choice.name).toBe('cola/lora/light-peft+/0.5/lr-0.001');
  expect(stepsOf(choice, table)).toBeLessThan(stepsOf(part, table));
});

it('gives every method of a task, and every candidate, as many steps in all', async () => {
  const table = await readTable();
  for (const part of [...partsOf(table), ...candidatesOf(table)])
    expect(stepsOf(part, table)).toBe(stepsOf({ ...part, method: 'reference' }, table));
});

/** Of estimation and fine-tuning. */
function stepsOf(part: Part, table: Table): number {
  const config = configOf(part, table, 1e-3, {});
  return Number(config['estimate-steps']) + Number(config.steps);
}

it('prunes heads and neurons alike, and nothing of PEFT alone', async () => {
  const table = await readTable();
  for (const part of partsOf(table)) {
    const config = configOf(part, table, 1e-3, { model: 'm' });
    const { methods } = table.methods[part.method]!.options;
    expect(config).toMatchObject({ methods, seed: part.seed, peft: part.peft, model: 'm' });
    if (part.method === 'reference') expect(config).not.toHaveProperty('heads-ratio');
    else expect([config['heads-ratio'], config['ffn-ratio']]).toEqual([part.ratio, part.ratio]);
  }
});

it('what a preset is chosen from is tried on the training data alone', async () => {
  const table = await readTable();
  const candidates = candidatesOf(table);
  expect(candidates.length).toBeGreaterThan(table['learning-rates'].values.length);
  for (const one of candidates)
    expect(configOf(one, table, one.lr!, {})).toMatchObject({ 'selection-split': 0.1, seed: 100 });
});

it('a method and its chance level prune as much', async () => {
  const { methods } = await readTable();
  for (const { options, chance } of Object.values(methods)) {
    if (chance === undefined) continue;
    const { methods: method, importance: _, ...ratios } = options;
    expect(methods[chance]!.options).toEqual({ ...ratios, methods: 'random' });
    expect(method).toBe('light-peft');
  }
});

it('splits questions by articles, and scores answers one by one', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'articles-'));
  const article = (i: number) => ({
    title: `T${i}`,
    paragraphs: [
      {
        context: 'A red bird.',
        qas: [{ id: `${i}`, question: 'What?', answers: [{ text: 'red bird', answer_start: 2 }] }],
      },
    ],
  });
  await writeFile(
    join(dir, 'all.json'),
    JSON.stringify({ version: '1.1', data: Array.from({ length: 11 }, (_, i) => article(i)) }),
  );
  const paths = await splitArticles(join(dir, 'all.json'), dir);
  const titles = async (path: string): Promise<string[]> =>
    (JSON.parse(await readFile(path, 'utf8')) as { data: { title: string }[] }).data.map(({ title }) => title);
  expect(await titles(paths.eval)).toEqual(['T4', 'T9']);
  expect(await titles(paths.train)).toHaveLength(9);
  const lines = join(dir, 'lines.jsonl');
  await writeFile(lines, '{"logits":[],"answer":"the red bird"}\n{"logits":[],"answer":"a bird"}\n');
  expect(await answerScores(paths.eval, lines)).toEqual([1, 2 / 3]);
  await writeFile(lines, '{"answer":"bird"}\n');
  await expect(answerScores(paths.eval, lines)).rejects.toThrow('found 1 answers, expected 2');
  await rm(dir, { recursive: true });
});
