/** Layer norm and its gradients against float64, with every lane layout and ragged sizes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assertClose, randomValues } from '../../engine/testing/index.ts';
import type { DeviceTraits } from '../../kernels/kernel.ts';
import { layerNorm, layerNormBackward, layerNormBackwardParams } from '../../kernels/layernorm.ts';
import { normParts } from '../../kernels/norm.ts';
import { openTestDevice } from './harness.ts';

const gpu = await openTestDevice();
const layouts: DeviceTraits[] = [
  { ...gpu.traits, software: true },
  { ...gpu.traits, software: false },
];
const EPS = 1e-5;

/** Rows with different means and spreads; neighbours differ, so that short rows too have a spread worth dividing by. */
function data(rows: number, cols: number) {
  const x = randomValues(rows * cols, rows + cols).map((value, i) => {
    const [r, c] = [Math.floor(i / cols), i % cols];
    return (value + (c % 2 ? 3 : -3)) * (1 + (r % 5)) + (r % 7) * 3;
  });
  const gamma = randomValues(cols, 2).map((v) => 1 + 0.3 * v);
  return { x, gamma, beta: randomValues(cols, 3), dy: randomValues(rows * cols, 4) };
}

function reference(rows: number, cols: number, { x, gamma, beta, dy }: ReturnType<typeof data>) {
  const size = rows * cols;
  const [y, dx] = [new Float64Array(size), new Float64Array(size)];
  const [dgamma, dbeta] = [new Float64Array(cols), new Float64Array(cols)];
  for (let r = 0; r < rows; r++) {
    const row = [...x.subarray(r * cols, (r + 1) * cols)];
    const mean = row.reduce((a, b) => a + b, 0) / cols;
    const rstd = 1 / Math.sqrt(row.reduce((a, b) => a + (b - mean) ** 2, 0) / cols + EPS);
    const normed = row.map((v) => (v - mean) * rstd);
    const g = row.map((_, c) => dy[r * cols + c]! * gamma[c]!);
    const gMean = g.reduce((a, b) => a + b, 0) / cols;
    const gxMean = g.reduce((a, b, c) => a + b * normed[c]!, 0) / cols;
    normed.forEach((n, c) => {
      const at = r * cols + c;
      y[at] = n * gamma[c]! + beta[c]!;
      dx[at] = rstd * (g[c]! - gMean - n * gxMean);
      dgamma[c]! += dy[at]! * n;
      dbeta[c]! += dy[at]!;
    });
  }
  return { y, dx, dgamma, dbeta };
}

const sizes = fc.tuple(fc.constantFrom(1, 2, 7, 31, 32, 33, 97), fc.constantFrom(1, 2, 3, 4, 8, 13, 32, 97, 260, 768));

/** The sum over the first dimension of a [parts, cols] array. */
const sumParts = (partial: Float32Array, parts: number, cols: number) =>
  Float32Array.from({ length: cols }, (_, c) => {
    let sum = 0;
    for (let part = 0; part < parts; part++) sum += partial[part * cols + c]!;
    return sum;
  });

describe('layer norm', () => {
  it('and its gradients equal float64 for rows of any length, one lane or many to a row', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.constantFrom(...layouts), async ([rows, cols], traits) => {
        const spec = { rows, cols, eps: EPS };
        const size = rows * cols;
        const { beta, ...inputs } = data(rows, cols);
        const expected = reference(rows, cols, { beta, ...inputs });
        const { x, gamma, dy } = inputs;
        const { y } = await gpu.run(layerNorm(spec, traits), { x, gamma, beta }, { y: size });
        assertClose(y!, expected.y, 1e-5);
        const { dx } = await gpu.run(layerNormBackward(spec, traits), { x, gamma, dy }, { dx: size });
        assertClose(dx!, expected.dx, 1e-5);
        const { x: over } = await gpu.run(layerNormBackward(spec, traits, { inPlace: true }), { x, gamma, dy }, {});
        assertClose(over!, expected.dx, 1e-5);
        for (const inPlace of [false, true]) {
          const kernel = layerNormBackward(spec, traits, { inPlace, alsoForward: true });
          const outputs = { y: size, ...(!inPlace && { dx: size }) };
          const found = await gpu.run(kernel, { ...inputs, beta }, outputs);
          assertClose((inPlace ? found.x : found.dx)!, expected.dx, 1e-5);
          expect(found.y).toEqual(y);
        }
        const parts = normParts(rows);
        const outputs = { dx: size, dgamma: parts * cols, dbeta: parts * cols };
        const all = await gpu.run(layerNormBackwardParams(spec, traits), { x, gamma, dy }, outputs);
        assertClose(all.dx!, expected.dx, 1e-5);
        assertClose(sumParts(all.dgamma!, parts, cols), expected.dgamma, 1e-5);
        assertClose(sumParts(all.dbeta!, parts, cols), expected.dbeta, 1e-5);
      }),
      { numRuns: 16, seed: 4, examples: [[[97, 260], layouts[0]!]] },
    );
  });

  it('keeps precision where the mean is large against the spread', async () => {
    const [rows, cols] = [33, 256];
    const base = data(rows, cols);
    const inputs = { ...base, x: base.x.map((v) => Math.fround(1000 + v)) };
    const expected = reference(rows, cols, inputs);
    const { y } = await gpu.run(layerNorm({ rows, cols, eps: EPS }, gpu.traits), inputs, { y: rows * cols });
    assertClose(y!, expected.y, 2e-4);
  });
});
