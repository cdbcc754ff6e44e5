/** Protects: `--dump-kernels` of the command line — kernels of a training step, told apart by layers and modules. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { runCommand } from '../../cli/program.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

it('says which layer and module each dispatch of a step works for', async () => {
  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const model = ['--model', join(GOLDENS, 'families', 'distilbert-cls', 'model')];
  const data = [
    '--train',
    join(GOLDENS, 'distilbert-training', 'data.jsonl'),
    '--batch-size',
    '4',
    '--max-length',
    '16',
  ];
  const out = ['--out', join(dir, 'out'), '--dump-kernels', join(dir, 'kernels')];
  expect(await runCommand(['train', ...model, ...data, '--steps', '1', ...out])).toBe(0);
  const index = await readFile(join(dir, 'kernels', 'train-4x16', 'index.tsv'), 'utf8');
  const layer = 'distilbert.transformer.layer.1';
  for (const scope of [
    'embeddings',
    `${layer}/attention.q_lin`,
    `${layer}/attention.q_lin/peft`,
    `${layer}/attention`,
    `backward(${layer}/ffn.lin2)`,
    'head/classifier',
    'loss',
    'optimizer',
  ])
    expect(index).toMatch(new RegExp(`[\\t ]${scope.replace(/[.()]/g, '\\$&')}(,|$)`, 'm'));
});
