/** Protects: options of the trainer that do not fit data, task or run: one line with the flag and what was expected, and nothing left behind. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from './command.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens');
const ENCODER = join(GOLDENS, 'roberta', 'model');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'refusals-'));
  const rows = [0, 1, 2, 0].map((label) => `${JSON.stringify({ input_ids: [0, 5, 6, 2], label })}\n`);
  await writeFile(join(dir, 'rows.jsonl'), rows.join(''));
});
afterAll(() => rm(dir, { recursive: true }));

it.each([
  [['--class-weights', '0=1,5=2'], /^--class-weights: .*"?5"?.*0, 1, 2/],
  [['--steps', '4', '--warmup-steps', '5'], /^--warmup-steps: found 5, expected at most 4, the steps of the run$/],
  [
    ['--eval-strategy', 'epoch', '--metric-for-best-model', 'perplexity', '--eval', 'rows.jsonl'],
    /^--metric-for-best-model: found "perplexity".*, expected one of accuracy, f1, .*loss$/,
  ],
  [['--eval-strategy', 'epoch'], /^--eval-strategy epoch: there is nothing to evaluate on, give --eval or --selection/],
  [['--packing'], /^--packing: is for causal language models; an example for a head for classification needs a row/],
])('%j', async (flags, expected) => {
  const given = flags.map((flag) => (flag === 'rows.jsonl' ? join(dir, flag) : flag));
  const out = join(dir, 'out');
  const train = ['train', '--model', ENCODER, '--train', join(dir, 'rows.jsonl'), '--out', out];
  const said = await run(2, ...train, ...given, '--log-jsonl', join(dir, 'log.jsonl'));
  const own = said.split('\n').filter((line) => line.startsWith('light-peft: '));
  expect(own).toHaveLength(1);
  expect(own[0]!.replace('light-peft: ', '')).toMatch(expected);
  expect(await readdir(dir)).toEqual(['rows.jsonl']);
});
