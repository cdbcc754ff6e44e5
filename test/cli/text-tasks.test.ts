/** Protects: a task as text through the commands — learned, judged by likelihood whole and pruned, with examples; lines of predictions; refusals. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from './command.ts';
import { tinyLanguageModel } from './tiny-language-model.ts';

const ROWS = ['good film', 'bad film', 'good plot', 'bad plot', 'good cast', 'bad cast', 'a good day', 'a bad day'];
const label = (text: string): number => Number(text.includes('good'));
const table = (texts: readonly string[], labelOf: (text: string) => number): string =>
  ['sentence\tlabel', ...texts.map((text) => `${text}\t${labelOf(text)}`)].join('\n');

let dir: string;
let model: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  const asked = ROWS.map(
    (text) => `${text}\nQuestion: Is this sentence positive or negative?\nAnswer: positive negative`,
  );
  model = await tinyLanguageModel(join(dir, 'model'), asked, 128);
  await mkdir(join(dir, 'SST-2'));
  await mkdir(join(dir, 'alone'));
  await mkdir(join(dir, 'unlabelled'));
  await writeFile(join(dir, 'unlabelled', 'dev.tsv'), 'sentence\tlabel\ngood\t1\nbad\t-1');
  // To learn always the same answer.
  await writeFile(
    join(dir, 'SST-2', 'train.tsv'),
    table(ROWS, () => 1),
  );
  for (const folder of ['SST-2', 'alone'])
    await writeFile(join(dir, folder, 'dev.tsv'), table(ROWS.slice(0, 5), label));
});
afterAll(() => rm(dir, { recursive: true }));

const TASK = ['--task', 'glue/sst2', '--as', 'text'];
const jsonIn = (text: string): Record<string, unknown> =>
  JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) as Record<string, unknown>;

async function linesOf(path: string): Promise<Record<string, number[]>[]> {
  const lines = (await readFile(path, 'utf8')).trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Record<string, number[]>);
}

it('learns the answers, and judges choices by their likelihood', async () => {
  const out = join(dir, 'lora');
  const steps = ['--steps', '40', '--batch-size', '8', '--lr', '0.01', '--lora-r', '4'];
  const trained = await run(0, 'train', '--model', model, '--data-dir', dir, ...TASK, ...steps, '--out', out);
  expect(trained).toContain('glue/sst2: 8 training + 5 evaluation examples');
  expect(trained).toContain('Accuracy 60.00 %');
  const predictions = join(dir, 'predictions.jsonl');
  const evaluate = ['eval', '--model', model, '--adapter', out, '--data-dir', dir, ...TASK, '--json'];
  const result = jsonIn(await run(0, ...evaluate, '--predictions', predictions));
  expect(result).toMatchObject({ accuracy: 0.6, count: 5, examples: 5 });
  const likelihoods = (await linesOf(predictions)).map(({ loglikelihood }) => loglikelihood!);
  expect(likelihoods.map(([no, yes]) => Number(yes! > no!))).toEqual([1, 1, 1, 1, 1]);
  expect(likelihoods.every((row) => row.length === 2 && row.every((value) => value < 0))).toBe(true);

  const withExamples = join(dir, 'with-examples.jsonl');
  await run(0, ...evaluate, '--num-fewshot', '2', '--predictions', withExamples);
  expect(await linesOf(withExamples)).not.toEqual(await linesOf(predictions));
});

it('prunes and compares as other data', async () => {
  const settings = ['--steps', '2', '--estimate-steps', '2', '--batch-size', '4', '--methods', 'reference,light-peft'];
  const text = await run(
    0,
    'run',
    '--model',
    model,
    '--data-dir',
    dir,
    ...TASK,
    ...settings,
    '--out',
    join(dir, 'run'),
  );
  expect(text).toContain('glue/sst2: 5 evaluation examples');
  expect(text).toMatch(/Light-PEFT +\d+\.0/);
});

it('says what is missing', async () => {
  const evaluate = ['eval', '--model', model];
  const alone = ['--data-dir', join(dir, 'alone')];
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['no train split of glue/sst2', [...TASK, ...alone, '--num-fewshot', '1']],
    [
      'no training split to draw examples from',
      [...TASK, '--eval', join(dir, 'alone', 'dev.tsv'), '--num-fewshot', '1'],
    ],
    ['--num-fewshot: is for tasks as text', ['--task', 'glue/sst2', ...alone, '--num-fewshot', '1']],
    ['dev.tsv:3: no label', [...TASK, '--eval', join(dir, 'unlabelled', 'dev.tsv')]],
    ['--as text: is for tasks', ['--as', 'text', '--eval', join(dir, 'alone', 'dev.tsv')]],
    ['examples for 7', [...TASK, '--data-dir', dir, '--num-fewshot', '8']],
  ];
  for (const [message, flags] of cases) expect(await run(2, ...evaluate, ...flags)).toContain(message);
});
