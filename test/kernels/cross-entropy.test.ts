/** Cross-entropy and its gradient against float64: few and many classes, ignored rows, extreme logits. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assertClose, randomValues } from '../../engine/testing/index.ts';
import { crossEntropy } from '../../kernels/cross-entropy.ts';
import type { DeviceTraits } from '../../kernels/kernel.ts';
import { openTestDevice } from './harness.ts';

const gpu = await openTestDevice();
const layouts: DeviceTraits[] = [
  { ...gpu.traits, software: true },
  { ...gpu.traits, software: false },
];

function reference(logits: Float32Array, labels: Int32Array, classes: number) {
  const loss = new Float64Array(labels.length);
  const grad = new Float64Array(logits.length);
  labels.forEach((label, r) => {
    if (label < 0) return;
    const row = logits.subarray(r * classes, (r + 1) * classes);
    const peak = row.reduce((a, b) => Math.max(a, b));
    const total = row.reduce((sum, x) => sum + Math.exp(x - peak), 0);
    loss[r] = Math.log(total) + peak - row[label]!;
    row.forEach((x, c) => (grad[r * classes + c] = Math.exp(x - peak) / total - (c === label ? 1 : 0)));
  });
  return { loss, grad };
}

async function check(rows: number, classes: number, traits: DeviceTraits, scale = 3): Promise<void> {
  const logits = randomValues(rows * classes, rows + classes, scale);
  const labels = Int32Array.from({ length: rows }, (_, r) => (r % 4 === 3 ? -100 : (r * 7919 + classes - 1) % classes));
  const expected = reference(logits, labels, classes);
  const kernel = crossEntropy({ rows, classes }, traits);
  const { loss, grad } = await gpu.run(kernel, { logits, labels }, { loss: rows, grad: rows * classes });
  assertClose(loss!, expected.loss, 2e-6);
  assertClose(grad!, expected.grad, 2e-6);
}

describe('crossEntropy', () => {
  it('gives −log softmax and softmax − onehot for any rows and classes, 0 in ignored rows', async () => {
    const rows = fc.constantFrom(1, 2, 5, 31, 32, 67);
    const classes = fc.constantFrom(2, 3, 4, 5, 8, 37, 64, 1000, 1001);
    await fc.assert(
      fc.asyncProperty(rows, classes, fc.constantFrom(...layouts), (r, c, t) => check(r, c, t)),
      {
        numRuns: 25,
        seed: 9,
      },
    );
  });

  it('holds for a vocabulary of 50,265', async () => {
    for (const traits of layouts) await check(33, 50_265, traits);
  });

  it('neither overflows nor gives NaN for logits far apart', async () => {
    for (const traits of layouts) await check(40, 12, traits, 400);
    const logits = Float32Array.of(1000, -1000, 0, 0, 88, 89);
    const { loss } = await gpu.run(
      crossEntropy({ rows: 3, classes: 2 }, gpu.traits),
      { logits, labels: Int32Array.of(0, 1, 0) },
      { loss: 3, grad: 6 },
    );
    expect([...loss!]).toEqual([0, expect.closeTo(Math.LN2, 6), expect.closeTo(1 + Math.log(1 + Math.exp(-1)), 5)]);
  });
});
