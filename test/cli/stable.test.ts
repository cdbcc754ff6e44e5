/** Protects: `--estimate-until stable` in `estimate` and `run`: what it writes, and that every method gets as many steps as it took. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { runCommand } from '../../cli/program.ts';
import { readEstimate } from '../../pruning/scores-file.ts';
import { parseComparison } from '../../report/schema.ts';

const OLD = join(import.meta.dirname, '..', 'fixtures', 'version-0.1');
const MODEL = join(import.meta.dirname, '..', 'goldens', 'roberta', 'model');
const STABLE = [
  '--estimate-until',
  'stable',
  '--estimate-steps',
  '16',
  '--estimate-window',
  '2',
  '--estimate-queue',
  '2',
];
const SETTINGS = [...STABLE, '--batch-size', '4', '--max-length', '24', '--lora-r', '4'];

let dir: string;
let said: string[];
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  said = [];
  for (const stream of [process.stdout, process.stderr])
    vi.spyOn(stream, 'write').mockImplementation((text) => said.push(String(text)) > 0);
});
afterAll(() => rm(dir, { recursive: true }));

it('`estimate` writes distances and its end, `prune` reads them', async () => {
  const out = join(dir, 'estimate');
  const data = ['--train', join(OLD, 'data.jsonl')];
  const flags = [...data, ...SETTINGS, '--estimate-threshold', '0.9', '--out', out];
  expect(await runCommand(['estimate', '--model', MODEL, ...flags])).toBe(0);
  const { steps, counted_steps: counted, loss, stability } = await readEstimate(join(out, 'records.json'));
  expect({ steps, counted, losses: loss.length }).toEqual({ steps: 6, counted: 3, losses: 6 });
  expect(stability).toMatchObject({ window: 2, threshold: 0.9, queue: 2, min_steps: 1, max_steps: 16, reached: true });
  expect(stability!.distances.map((d) => d.step)).toEqual([4, 6]);
  expect(said.join('')).toContain('after 6 steps, stable, of at most 16');
  expect(await runCommand(['prune', '--model', MODEL, '--estimate', out, '--out', join(dir, 'pruned')])).toBe(0);
});

it('`run` gives methods without an estimation as many steps as it took, and its page shows the distances', async () => {
  const out = join(dir, 'run');
  const data = ['--train', join(OLD, 'data.jsonl'), '--eval', join(OLD, 'eval.jsonl')];
  const flags = [...data, ...SETTINGS, '--estimate-threshold', '0.9', '--steps', '3', '--out', out];
  const run = ['run', '--model', MODEL, ...flags, '--methods', 'reference,light-peft'];
  expect(await runCommand(run)).toBe(0);
  const path = join(out, 'comparison.json');
  const { runs } = parseComparison(JSON.parse(await readFile(path, 'utf8')), path);
  const lengths = runs.map(({ curves }) => curves.map(({ phase, loss }) => [phase, loss.length]));
  expect(lengths).toEqual([
    [['train', 9]],
    [
      ['estimate', 6],
      ['train', 3],
    ],
  ]);
  expect(runs.map((r) => r.stability?.steps)).toEqual([undefined, 6]);
  expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('When what stays was stable');
  expect(await runCommand(run)).toBe(0);
});
