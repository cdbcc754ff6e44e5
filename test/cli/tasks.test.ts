/**
 * Protects: a benchmark's task through the commands: counts, official figures, refusals of hidden labels and of other parts of the data, and a
 * submission that is what `predict` scored highest.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from './command.ts';

const MODEL = ['--model', join(import.meta.dirname, '..', '..', 'checkpoints', 'light-roberta')];
const SHORT = ['--batch-size', '4', '--max-length', '16', '--lora-r', '2', '--target-modules', 'query'];

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tasks-'));
  await mkdir(join(dir, 'RTE'));
  const row = (i: number, label?: string): string =>
    [i, `It is "${i}" o'clock.`, i % 2 ? 'It is night.' : 'There is a clock.', label]
      .filter((x) => x !== undefined)
      .join('\t');
  const labelled = (count: number): string[] =>
    Array.from({ length: count }, (_, i) => row(i, i % 2 ? 'not_entailment' : 'entailment'));
  const columns = 'index\tsentence1\tsentence2';
  await writeFile(join(dir, 'RTE', 'train.tsv'), [`${columns}\tlabel`, ...labelled(12)].join('\n'));
  await writeFile(join(dir, 'RTE', 'dev.tsv'), [`${columns}\tlabel`, ...labelled(5)].join('\n'));
  await writeFile(join(dir, 'RTE', 'test.tsv'), [columns, row(10), row(11), row(12)].join('\n'));
  await writeFile(join(dir, 'pairs.csv'), 'premise,hypothesis,id\nIt is late.,It is night.,1\n"Yes, it is.",No.,2\n');
});
afterAll(() => rm(dir, { recursive: true }));

const at = (name: string): string => join(dir, name);
const lines = async (name: string): Promise<string[]> => (await readFile(at(name), 'utf8')).trim().split('\n');

it('is trained, judged, predicted and submitted', async () => {
  const task = ['--task', 'GLUE/RTE', '--data-dir', dir];
  const train = ['train', ...MODEL, ...task, ...SHORT, '--steps', '2', '--out', at('tuned')];
  expect(await run(0, ...train, '--selection-split', '0.3', '--max-train-examples', '6')).toMatch(
    /glue\/rte: 6 of \d+ training \+ \d evaluation examples[^]*Accuracy/,
  );
  for (const [flag, value] of [
    ['max-train-examples', '5'],
    ['data-seed', '1'],
    ['selection-split', '0.4'],
  ] as const)
    expect(
      await run(2, ...train, '--selection-split', '0.3', '--max-train-examples', '6', `--${flag}`, value, '--resume'),
    ).toContain(`--${flag}`);

  const model = [...MODEL, '--adapter', at('tuned'), ...task, '--max-length', '16'];
  const figures = await run(0, 'eval', ...model, '--max-eval-examples', '4', '--json');
  expect(figures).toContain('glue/rte: 4 of 5 evaluation examples');
  expect(figures).toMatch(/"accuracy": (0|0\.25|0\.5|0\.75|1),/);
  expect(await run(2, 'eval', ...model, '--eval-split', 'test')).toMatch(/test\.tsv:2: no label, expected one of/);

  const both = ['--out', at('test.jsonl'), '--submission', at('submission')];
  expect(await run(0, 'predict', ...model, '--eval-split', 'test', ...both)).toContain('glue/rte: 3 examples');
  const classes = (await lines('test.jsonl')).map((line) => {
    const [entailment, not] = (JSON.parse(line) as { logits: [number, number] }).logits;
    return entailment >= not ? 'entailment' : 'not_entailment';
  });
  const expected = ['index\tprediction', ...classes.map((name, i) => `${10 + i}\t${name}`)];
  expect(await lines('submission/RTE.tsv')).toEqual(expected);
  await run(0, 'predict', ...model, '--eval-split', 'test', '--submission', at('mine.tsv'));
  expect(await lines('mine.tsv')).toEqual(expected);
  const one = ['--eval-split', 'test', '--max-eval-examples', '1', '--out', at('one.jsonl')];
  expect(await run(0, 'predict', ...model, ...one)).toContain('glue/rte: 1 of 3 examples');

  const columns = ['--columns', 'text_a=premise,text_b=hypothesis'];
  const own = [...MODEL, '--adapter', at('tuned'), '--max-length', '16', '--data', at('pairs.csv')];
  const said = await run(0, 'predict', ...own, ...columns, '--out', at('pairs.jsonl'));
  expect(said).toContain('pairs.csv: 2 examples');
  expect(said).toMatch(/pairs\.csv: columns not used: id/);
  expect(await lines('pairs.jsonl')).toHaveLength(2);
});

it('refuses a split of a file', async () => {
  const file = ['--data', join(dir, 'RTE', 'dev.tsv'), '--eval-split', 'test'];
  expect(await run(2, 'eval', ...MODEL, '--task', 'glue/rte', ...file)).toContain('--eval-split: is a split of a task');
});

it('refuses submissions that are none', async () => {
  const predict = ['predict', ...MODEL];
  expect(await run(2, ...predict, '--data', at('pairs.csv'))).toContain('--out: missing');
  expect(await run(2, ...predict, '--data', at('pairs.csv'), '--submission', dir)).toContain('name it with --task');
  expect(await run(2, ...predict, '--task', 'spam', '--submission', dir)).toContain('--submission: spam has none');
  const two = ['--adapter', `a=${dir}`, '--adapter', `b=${dir}`, '--task', 'glue/rte', '--data-dir', dir];
  expect(await run(2, ...predict, ...two, '--submission', dir)).toContain('several --adapter');
});
