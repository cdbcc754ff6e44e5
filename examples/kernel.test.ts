/**
 * Room: examples. A kernel's unit test with `light-peft/kernels` and `light-peft/testing`: a float64 reference, odd shapes, the templates of
 * a CPU rasteriser and of a GPU, and the text that Dawn compiles.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { layerNorm } from 'light-peft/kernels';
import { assertClose, openTestDevice, randomValues } from 'light-peft/testing';

const device = await openTestDevice();
afterAll(() => device.close());

const EPS = 1e-5;

/** Row by row, in float64. */
function reference(x: Float32Array, gamma: Float32Array, beta: Float32Array): Float64Array {
  const cols = gamma.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += cols) {
    const row = [...x.subarray(start, start + cols)];
    const mean = row.reduce((sum, v) => sum + v, 0) / cols;
    const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / cols;
    row.forEach((v, c) => {
      y[start + c] = ((v - mean) / Math.sqrt(variance + EPS)) * gamma[c]! + beta[c]!;
    });
  }
  return y;
}

describe.each([true, false])('layerNorm, for a CPU rasteriser: %s', (software) => {
  const traits = { ...device.traits, software };

  it.each([
    [1, 1],
    [3, 5],
    [31, 8],
    [67, 260],
    [5, 1021],
  ])('equals float64 for %i rows of %i', async (rows, cols) => {
    const x = randomValues(rows * cols, 1, 3);
    const gamma = randomValues(cols, 2);
    const beta = randomValues(cols, 3);
    const kernel = layerNorm({ rows, cols, eps: EPS }, traits);
    const { y } = await device.run(kernel, { x, gamma, beta }, { y: rows * cols });
    assertClose(y!, reference(x, gamma, beta), 1e-5);
  });

  it('has one text, and so one pipeline, for many shapes', () => {
    const { wgsl, bindings, flops, bytes } = layerNorm({ rows: 512, cols: 768, eps: EPS }, traits);
    console.log(wgsl);
    expect(layerNorm({ rows: 700, cols: 772, eps: EPS }, traits).wgsl).toBe(wgsl);
    expect(bindings.map(({ role, name }) => `${role} ${name}`)).toEqual(['in x', 'in gamma', 'in beta', 'out y']);
    expect(flops / bytes).toBeCloseTo(1, 1);
  });
});
