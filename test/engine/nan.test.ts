/** Protects: NaN stays NaN through every op that clamps, compares or leaves out, on the adapters that the tests run on; infinity is not lost. */
import { describe, expect, it } from 'vitest';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { attention } from '../../engine/ops/attention.ts';
import { crossEntropy } from '../../engine/ops/cross-entropy.ts';
import { abs, gelu, geluTanh, maximum, minimum, relu, silu, tanh } from '../../engine/ops/elementwise.ts';
import { layerNorm } from '../../engine/ops/layernorm.ts';
import { castF16Saturating, castF32 } from '../../engine/ops/saved-for-backward.ts';
import { fusedLinearCrossEntropy } from '../../engine/ops/vocabulary.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();

function values(
  numbers: readonly number[],
  shape: readonly number[] = [numbers.length],
  dtype: 'f32' | 'i32' = 'f32',
): Tensor {
  const data = dtype === 'i32' ? Int32Array.from(numbers) : Float32Array.from(numbers);
  return engine.variable('x', shape, { dtype, kind: 'state', data }).tensor;
}

const OPS: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  relu,
  tanh,
  gelu,
  geluTanh,
  silu,
  abs,
  'maximum, left': (x) => maximum(x, 0),
  'maximum, right': (x) => maximum(0, x),
  'minimum, left': (x) => minimum(x, 0),
  'minimum, right': (x) => minimum(0, x),
  'cast to f16': (x) => castF32(castF16Saturating(x)),
};

describe.each([3, 8])('of %i elements', (size) => {
  it.each(Object.entries(OPS))('%s', async (name, op) => {
    if (name === 'cast to f16' && !engine.traits.f16) return;
    const given = Array.from({ length: size }, (_, i) => (i === 1 ? NaN : i - 2));
    const found = await engine.evaluate(op(values(given)));
    expect([...found].map(Number.isNaN)).toEqual(given.map(Number.isNaN));
  });
});

it('clamped ops at infinity', async () => {
  const ends = values([-Infinity, Infinity, -1e30, 1e30]);
  expect([...(await engine.evaluate(relu(ends)))]).toEqual([0, Infinity, 0, Math.fround(1e30)]);
  expect([...(await engine.evaluate(tanh(ends)))]).toEqual([-1, 1, -1, 1]);
  expect([...(await engine.evaluate(maximum(ends, 2)))]).toEqual([2, Infinity, 2, Math.fround(1e30)]);
  expect([...(await engine.evaluate(minimum(ends, 2)))]).toEqual([-Infinity, 2, -Math.fround(1e30), 2]);
});

const wave = (length: number, bad?: number): number[] =>
  Array.from({ length }, (_, i) => (i === bad ? NaN : Math.sin(i)));

it('a row of layer norm', async () => {
  const x = values(wave(24, 9), [3, 8]);
  const found = await engine.evaluate(layerNorm(x, values(wave(8)), values(wave(8)), 1e-5));
  expect(Array.from({ length: 3 }, (_, row) => found.subarray(8 * row, 8 * row + 8).some(Number.isNaN))).toEqual([
    false,
    true,
    false,
  ]);
});

describe.each([
  { seq: 5, causal: false },
  { seq: 37, causal: true },
  { seq: 1, causal: false },
])('attention of $seq tokens', ({ seq, causal }) => {
  const spec = { batch: 2, seq, heads: 2, headDim: 4, scale: 0.5, causal };
  const size = 2 * seq * 8;
  const mask = values(
    Array.from({ length: 2 * seq }, () => 1),
    [2, seq],
    'i32',
  );
  it.each(['q', 'k', 'v'])('NaN in %s reaches what it weighs on', async (bad) => {
    const of = (name: string): Tensor => values(wave(size, name === bad ? 1 : undefined), [2 * seq, 8]);
    const found = await engine.evaluate(attention(of('q'), of('k'), of('v'), mask, spec));
    expect(Number.isNaN(found[1])).toBe(true);
    expect(found.subarray(size / 2).some(Number.isNaN)).toBe(false);
  });
});

const isFinite = ([loss]: Float32Array): boolean => Number.isFinite(loss);

it('losses', async () => {
  const labels = values([0, 1], [2], 'i32');
  for (const classes of [3, 8, 700]) {
    const logits = values(wave(2 * classes, 2 * classes - 1), [2, classes]);
    expect(await engine.evaluate(crossEntropy(logits, labels))).not.toSatisfy(isFinite);
  }
  const table = engine.variable('table', [36, 4], { kind: 'weights', data: Float32Array.from(wave(144)) });
  const hidden = values(wave(8, 5), [2, 4]);
  const loss = fusedLinearCrossEntropy(
    hidden,
    table.rowParts(256).map((part) => part.tensor),
    labels,
  );
  expect(await engine.evaluate(loss)).not.toSatisfy(isFinite);
});
