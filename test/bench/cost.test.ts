/** Protects: what targets are measured against: operations, and the bytes a step must hold. */
import { expect, it } from 'vitest';
import { blockFlops, heldValues, memoryBound, peftFlops, savedValues } from '../../bench/encoder/cost.ts';
import { shapedConfig } from '../../bench/encoder/model.ts';
import type { PeftModule } from '../../peft/module.ts';

const CONFIG = shapedConfig({ layers: 2, hidden: 8, heads: 2, neurons: 32, vocab: 16, positions: 4 });
const WHOLE = [
  { heads: 2, neurons: 32 },
  { heads: 2, neurons: 32 },
];
const BATCH = { batch: 3, seq: 4 };

const module = (name: string): PeftModule => ({
  name: `roberta.encoder.layer.${name}`,
  inFeatures: 8,
  outFeatures: 32,
  ranks: 2,
  scaling: 1,
});

it('block FLOPs are those of six products and attention, and halve with heads and neurons', () => {
  const tokens = 12;
  const layer = 2 * tokens * (4 * 8 * 8 + 2 * 8 * 32) + 4 * tokens * 4 * 8;
  expect(blockFlops(CONFIG, WHOLE, BATCH, 'forward')).toBe(2 * layer);
  const half = WHOLE.map(({ heads, neurons }) => ({ heads: heads / 2, neurons: neurons / 2 }));
  for (const pass of ['forward', 'lora', 'full'] as const)
    expect(blockFlops(CONFIG, half, BATCH, pass)).toBe(blockFlops(CONFIG, WHOLE, BATCH, pass) / 2);
  expect(blockFlops(CONFIG, WHOLE, BATCH, 'full')).toBe(3 * blockFlops(CONFIG, WHOLE, BATCH, 'forward'));
  expect(peftFlops([module('0.intermediate.dense')], BATCH)).toBe(6 * tokens * 2 * 40);
});

it('nothing is kept below the lowest trained module', () => {
  const whole = 12 * (4 * 8 + 2 + 2 * 8 + 32);
  const saved = (name: string): number => savedValues(CONFIG, WHOLE, [module(name), module('1.output.dense')], BATCH);
  expect(saved('0.attention.self.query')).toBe(2 * whole);
  expect(saved('1.attention.self.value')).toBe(whole);
  expect(saved('1.attention.output.dense')).toBe(12 * (8 + 16 + 32));
  expect(saved('1.intermediate.dense')).toBe(12 * (16 + 32));
  expect(saved('1.output.dense')).toBe(12 * (8 + 32));
  expect(savedValues(CONFIG, WHOLE, [], BATCH)).toBe(0);
});

it('a forward pass holds the widest of attention and FFN beside the stream, and before it what was normalised', () => {
  expect(heldValues(CONFIG, WHOLE, BATCH)).toBe(12 * (8 + 32));
  expect(heldValues(CONFIG, [{ heads: 2, neurons: 20 }], BATCH)).toBe(12 * (8 + 4 * 8));
  const decoder = shapedConfig({ layers: 1, hidden: 8, heads: 2, neurons: 32, vocab: 16, positions: 4 }, 'opt');
  expect(heldValues(decoder, WHOLE, BATCH)).toBe(12 * (2 * 8 + 32));
  expect(heldValues(decoder, [{ heads: 2, neurons: 1 }], BATCH)).toBe(12 * (8 + 4 * 8));
});

it('the bound adds weights, trainables with gradient and two moments, and what is saved', () => {
  expect(memoryBound({ weights: 100, trainables: 10, saved: 5 })).toBe(100 + 160 + 20);
});
