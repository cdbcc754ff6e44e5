/** Protects: pretraining goes on from a checkpoint of version 0.1 to what that version came to. */
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Block } from '../../pretrain/mlm.ts';
import { pretrain } from '../../pretrain/pretrain.ts';
import { openTestEngine } from '../engine.ts';

const FIXTURE = join(import.meta.dirname, '..', 'fixtures', 'version-0.1', 'pretrain-interrupted');
const CHECKPOINT = 'pretrain.checkpoint.safetensors';

const engine = await openTestEngine();

const vocabulary = { size: 64, pad: 1, bos: 0, eos: 2, mask: 4, special: new Set([0, 1, 2, 3, 4]) };

const block = (i: number): Block => ({
  source: 'made',
  ids: Int32Array.from([0, ...Array.from({ length: 14 }, (_, j) => 5 + ((i * 7 + j * j * 3) % 50)), 2]),
});

const options = {
  hiddenSize: 16,
  layers: 2,
  heads: 2,
  neurons: 24,
  steps: 20,
  batchSize: 4,
  maxLength: 16,
  probability: 0.2,
  lr: 1e-3,
  warmupRatio: 0.1,
  weightDecay: 0.01,
  maxGradNorm: 1,
  seed: 3,
  saveEvery: 4,
};

it('goes on from step 8 of a run of version 0.1', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  await copyFile(join(FIXTURE, CHECKPOINT), join(dir, CHECKPOINT));
  const expected = JSON.parse(await readFile(join(FIXTURE, 'expected.json'), 'utf8')) as Record<string, number>;
  const blocks = Array.from({ length: 24 }, (_, i) => block(i));
  const text = { vocabulary, blocks, heldOut: blocks.slice(0, 8) };
  const from: number[] = [];
  const onReport = (report: { readonly from: number }): void => void from.push(report.from);
  const result = await pretrain(engine, text, options, dir, { resume: true, onReport });
  expect(new Set(from)).toEqual(new Set([8]));
  expect(result.tokens).toBe(expected.tokens);
  expect(Math.abs(result.heldOutLoss - expected.heldOutLoss!)).toBeLessThan(1e-5);
  await rm(dir, { recursive: true });
});
