/** RMS norm and its gradients against float64, with every lane layout and ragged sizes. */
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { assertClose, randomValues } from '../../engine/testing/index.ts';
import type { DeviceTraits } from '../../kernels/kernel.ts';
import { rmsNorm, rmsNormBackward, rmsNormBackwardParams } from '../../kernels/rmsnorm.ts';
import { normParts } from '../../kernels/norm.ts';
import { openTestDevice } from './harness.ts';

const gpu = await openTestDevice();
const layouts: DeviceTraits[] = [
  { ...gpu.traits, software: true },
  { ...gpu.traits, software: false },
];
const EPS = 1e-5;

/** Rows of different size, all but one of them large against EPS. */
function data(rows: number, cols: number) {
  const x = randomValues(rows * cols, rows + cols).map(
    (v, i) => v * (1 + (Math.floor(i / cols) % 5)) + (i % 2 ? 2 : -2),
  );
  if (rows > 1) x.fill(0, 0, cols);
  return { x, gamma: randomValues(cols, 2).map((v) => 1 + 0.3 * v), dy: randomValues(rows * cols, 4) };
}

function reference(rows: number, cols: number, { x, gamma, dy }: ReturnType<typeof data>) {
  const [y, dx] = [new Float64Array(rows * cols), new Float64Array(rows * cols)];
  const dgamma = new Float64Array(cols);
  for (let r = 0; r < rows; r++) {
    const row = [...x.subarray(r * cols, (r + 1) * cols)];
    const scale = 1 / Math.sqrt(row.reduce((a, b) => a + b * b, 0) / cols + EPS);
    const mean = row.reduce((a, b, c) => a + dy[r * cols + c]! * gamma[c]! * b * scale, 0) / cols;
    row.forEach((v, c) => {
      const at = r * cols + c;
      y[at] = v * scale * gamma[c]!;
      dx[at] = scale * (dy[at]! * gamma[c]! - v * scale * mean);
      dgamma[c]! += dy[at]! * v * scale;
    });
  }
  return { y, dx, dgamma };
}

const sizes = fc.tuple(fc.constantFrom(1, 2, 7, 31, 32, 33, 97), fc.constantFrom(1, 2, 3, 4, 8, 13, 32, 97, 260, 768));

describe('RMS norm', () => {
  it('and its gradients equal float64 for rows of any length, one lane or many to a row', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.constantFrom(...layouts), async ([rows, cols], traits) => {
        const spec = { rows, cols, eps: EPS };
        const size = rows * cols;
        const inputs = data(rows, cols);
        const { x, gamma } = inputs;
        const expected = reference(rows, cols, inputs);
        const { y } = await gpu.run(rmsNorm(spec, traits), { x, gamma }, { y: size });
        assertClose(y!, expected.y, 1e-5);
        const { dx } = await gpu.run(rmsNormBackward(spec, traits), inputs, { dx: size });
        assertClose(dx!, expected.dx, 1e-5);
        const { x: over } = await gpu.run(rmsNormBackward(spec, traits, true), inputs, {});
        assertClose(over!, expected.dx, 1e-5);
        const parts = normParts(rows);
        const all = await gpu.run(rmsNormBackwardParams(spec, traits), inputs, { dx: size, dgamma: parts * cols });
        assertClose(all.dx!, expected.dx, 1e-5);
        const dgamma = Float32Array.from({ length: cols }, (_, c) => {
          let sum = 0;
          for (let part = 0; part < parts; part++) sum += all.dgamma![part * cols + c]!;
          return sum;
        });
        assertClose(dgamma, expected.dgamma, 1e-5);
      }),
      { numRuns: 16, seed: 4 },
    );
  });
});
