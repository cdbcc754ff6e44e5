/** Protects: pretraining on a device that cannot take a batch whole gives the model of the whole batch. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { MlmBatches, splitRows, type Block } from '../../pretrain/mlm.ts';
import { pretrain, type PretrainResult } from '../../pretrain/pretrain.ts';
import { openTestEngine } from '../engine.ts';
import { heardWarnings } from '../warnings.ts';

const warnings = heardWarnings();

const vocabulary = { size: 64, pad: 1, bos: 0, eos: 2, mask: 4, special: new Set([0, 1, 2, 3, 4]) };
const words = (count: number, i: number): number[] =>
  Array.from({ length: count }, (_, j) => 5 + ((i * 7 + j * 3) % 50));
/** Of different lengths, so that rows count for different shares of the mean. */
const blocks: Block[] = Array.from({ length: 20 }, (_, i) => ({
  source: 'made',
  ids: Int32Array.from([0, ...words(3 + (i % 11), i), 2]),
}));

const options = {
  ...{ hiddenSize: 16, layers: 2, heads: 2, neurons: 24 },
  ...{ steps: 3, batchSize: 7, maxLength: 16, probability: 0.2, lr: 1e-3, warmupRatio: 0.1 },
  ...{ weightDecay: 0.01, maxGradNorm: 1, seed: 3, saveEvery: 0 },
};

async function pretrained(engine: Engine): Promise<{ result: PretrainResult; weights: number[] }> {
  const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  const text = { vocabulary, blocks, heldOut: blocks.slice(0, 9) };
  const result = await pretrain(engine, text, options, dir, { resume: false });
  const file = await openSafetensors(join(dir, 'model.safetensors'));
  const weights: number[] = [];
  for (const name of file.names) weights.push(...(await file.readFloat32(name)));
  await file.close();
  expect(JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'))).toHaveProperty('architectures');
  await rm(dir, { recursive: true });
  return { result, weights };
}

it('comes to the same weights and held-out loss, to the f16 of the file', async () => {
  const expected = await pretrained(await openTestEngine());
  expect(warnings).toEqual([]);
  using small = await Engine.open({ limits: { maxStorageBufferBindingSize: 7000 } });
  const found = await pretrained(small);
  expect(warnings.join('\n')).toMatch(/pretrain.*rows/);
  expect(Math.abs(found.result.heldOutLoss - expected.result.heldOutLoss)).toBeLessThan(1e-5);
  const worst = expected.weights.reduce((most, value, i) => Math.max(most, Math.abs(value - found.weights[i]!)), 0);
  expect(worst).toBeLessThan(1e-4);
}, 60_000);

it('parts of a batch hold each prediction once, at its place', () => {
  const batch = new MlmBatches(blocks, { vocabulary, ...options }).at(1);
  const parts = splitRows(batch, 3, 7, 16);
  expect(parts.map(({ inputIds }) => inputIds.length)).toEqual([48, 48, 48]);
  const all = parts.flatMap(({ positions, labels, count }, part) =>
    Array.from({ length: count }, (_, i) => [positions[i]! + part * 48, labels[i]!]),
  );
  expect(all).toEqual(Array.from({ length: batch.count }, (_, i) => [batch.positions[i]!, batch.labels[i]!]));
});
