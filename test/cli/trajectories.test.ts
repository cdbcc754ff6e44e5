/**
 * Protects: the `train` command takes the steps that PyTorch takes — AdamW, weight decay, clipping and schedule — on adapters written by
 * PEFT. The losses are written by test/goldens/distilbert-training/reference.py.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { runCommand } from '../../cli/program.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens');
const TRAINING = join(GOLDENS, 'distilbert-training');
const FAMILY = join(GOLDENS, 'families', 'distilbert-cls');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function losses(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, 'utf8'));
}

it.each(['lora', 'dora', 'ia3'] as const)('%s: ten losses are those of PyTorch', async (method) => {
  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const out = join(dir, method);
  const data = ['--train', join(TRAINING, 'data.jsonl'), '--no-shuffle', '--batch-size', '4', '--max-length', '16'];
  const optimizer = ['--steps', '10', '--lr', '3e-3', '--schedule', 'linear', '--weight-decay', '0.1', '--clip', '1'];
  const start = ['--model', join(FAMILY, 'model'), '--init-adapter', join(FAMILY, 'adapters', method)];
  expect(await runCommand(['train', ...start, ...data, ...optimizer, '--dropout', '0', '--out', out])).toBe(0);
  const { loss } = (await losses(join(out, 'train.json'))) as { loss: number[] };
  const expected = ((await losses(join(TRAINING, 'losses.json'))) as Record<string, number[]>)[method]!;
  expect(loss).toHaveLength(expected.length);
  for (const [step, value] of expected.entries())
    expect(Math.abs(loss[step]! / value - 1), `step ${step}`).toBeLessThan(1e-5);
});
