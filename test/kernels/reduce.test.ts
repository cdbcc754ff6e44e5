/** Row and column reductions against float64, with every lane layout, ragged sizes and a fused prologue. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomValues } from '../../engine/testing/index.ts';
import type { Fragment } from '../../kernels/fragment.ts';
import type { DeviceTraits } from '../../kernels/kernel.ts';
import { colParts, reduceCols, reduceColsPartial, reduceRows } from '../../kernels/reduce.ts';
import { openTestDevice } from './harness.ts';

const gpu = await openTestDevice();
const software: DeviceTraits = { ...gpu.traits, software: true };
const hardware: DeviceTraits = { ...gpu.traits, software: false };

/** x·scale[row] + bias[col], so that a wrong row or column shows. */
function prologue(rows: number, cols: number): Fragment {
  return {
    inputs: [
      { name: 'x', dtype: 'f32', inner: 1, count: rows * cols },
      { name: 'scale', dtype: 'f32', inner: cols, count: rows },
      { name: 'bias', dtype: 'f32', inner: 1, count: cols },
    ],
    body: ['let scaled = x * scale;'],
    outputs: [{ name: 'value', dtype: 'f32', value: 'scaled + bias' }],
  };
}

function data(rows: number, cols: number) {
  const inputs = {
    x: randomValues(rows * cols, rows),
    scale: randomValues(rows, cols + 1),
    bias: randomValues(cols, 3),
  };
  const value = (r: number, c: number) => inputs.x[r * cols + c]! * inputs.scale[r]! + inputs.bias[c]!;
  return { inputs, value };
}

/** Largest error over the sum of magnitudes: what rounding alone may cause. */
function expectSums(got: Float32Array, count: number, terms: (i: number) => number[]): void {
  expect(got.length).toBe(count);
  for (let i = 0; i < count; i++) {
    const values = terms(i);
    const sum = values.reduce((a, b) => a + b, 0);
    const magnitude = values.reduce((a, b) => a + Math.abs(b), 0);
    expect(Math.abs(got[i]! - sum), `sum ${i}`).toBeLessThanOrEqual(1e-6 * magnitude + 1e-30);
  }
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const sizes = fc.tuple(
  fc.constantFrom(1, 2, 3, 7, 31, 32, 65, 130),
  fc.constantFrom(1, 2, 4, 5, 8, 13, 64, 97, 260, 1028),
);

describe('reduceRows', () => {
  it('sums and maximises rows of any length, one lane or many to a row', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.constantFrom(software, hardware), async ([rows, cols], traits) => {
        const { inputs, value } = data(rows, cols);
        const shape = { rows, cols, prologue: prologue(rows, cols) };
        const sums = await gpu.run(reduceRows({ ...shape, op: 'sum' }, traits), inputs, { out: rows });
        expectSums(sums.out!, rows, (r) => range(cols).map((c) => value(r, c)));
        const maxima = await gpu.run(reduceRows({ ...shape, op: 'max' }, traits), inputs, { out: rows });
        maxima.out!.forEach((max, r) => expect(max).toBeCloseTo(Math.max(...range(cols).map((c) => value(r, c))), 5));
      }),
      { numRuns: 30, seed: 2 },
    );
  });

  it('loses no more than rounding in a sum of a million equal terms', async () => {
    const [rows, cols] = [4, 250_000];
    const x = new Float32Array(rows * cols).fill(0.1);
    const fragment: Fragment = {
      inputs: [{ name: 'x', dtype: 'f32', inner: 1, count: x.length }],
      body: [],
      outputs: [{ name: 'value', dtype: 'f32', value: 'x' }],
    };
    for (const traits of [software, hardware]) {
      const { out } = await gpu.run(
        reduceRows({ rows, cols, op: 'sum', prologue: fragment }, traits),
        { x },
        { out: rows },
      );
      out!.forEach((sum) => expect(Math.abs(sum / (cols * Math.fround(0.1)) - 1)).toBeLessThan(1e-6));
    }
  });

  it('reaches every row where the rows are more than one dispatch dimension has workgroups', async () => {
    const [rows, cols] = [65535 * 64 + 67, 1];
    const fragment: Fragment = {
      inputs: [],
      body: [],
      outputs: [{ name: 'v', dtype: 'f32', value: 'V(f32(row % 8191u))' }],
    };
    const kernel = reduceRows({ rows, cols, op: 'sum', prologue: fragment }, hardware);
    expect(kernel.workgroups[1]).toBe(2);
    const { out } = await gpu.run(kernel, {}, { out: rows });
    expect(out!.findIndex((value, r) => value !== r % 8191)).toBe(-1);
  });
});

describe('reduceCols', () => {
  it('sums columns of any height, and in two passes gives the same', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.constantFrom(software, hardware), async ([rows, cols], traits) => {
        const { inputs, value } = data(rows, cols);
        const shape = { rows, cols, prologue: prologue(rows, cols) };
        const terms = (c: number) => range(rows).map((r) => value(r, c));
        const { out } = await gpu.run(reduceCols(shape, traits), inputs, { out: cols });
        expectSums(out!, cols, terms);
        const parts = colParts(rows, cols);
        const partial = await gpu.run(reduceColsPartial(shape, traits), inputs, { out: parts * cols });
        expectSums(
          Float32Array.from(range(cols), (c) => range(parts).reduce((sum, k) => sum + partial.out![k * cols + c]!, 0)),
          cols,
          terms,
        );
      }),
      { numRuns: 30, seed: 3 },
    );
  });

  it('cuts tall matrices into many parts and leaves short or wide ones whole', () => {
    expect(colParts(64, 8)).toBe(1);
    expect(colParts(2048, 256)).toBe(64);
    expect(colParts(1_000_000, 8)).toBe(256);
    expect(colParts(2048, 65536)).toBe(1);
  });
});
