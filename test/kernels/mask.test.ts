/** The masked-gradient kernel against float64: both gradients, every lane layout, ragged sizes, zero masks. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assertClose, randomValues } from '../../engine/testing/index.ts';
import type { DeviceTraits } from '../../kernels/kernel.ts';
import { maskGrad, maskParts } from '../../kernels/mask.ts';
import { openTestDevice } from './harness.ts';

const gpu = await openTestDevice();
const layouts: DeviceTraits[] = [
  { ...gpu.traits, software: true },
  { ...gpu.traits, software: false },
];

async function check(
  rows: number,
  inner: number,
  entries: number,
  traits: DeviceTraits,
  inPlace = false,
): Promise<void> {
  const cols = inner * entries;
  const [dy, x] = [randomValues(rows * cols, 1), randomValues(rows * cols, 2)];
  const m = randomValues(entries, 3).map((value, i) => (i % 3 === 1 ? 0 : value));
  const parts = maskParts(rows, cols);
  const kernel = maskGrad({ rows, cols, inner }, traits, inPlace);
  const got = await gpu.run(kernel, { dy, x, m }, { dx: rows * cols, dm: parts * entries });
  const entryOf = (i: number) => Math.floor((i % cols) / inner);
  expect(inPlace ? got.dy : got.dx).toEqual(dy.map((d, i) => d * m[entryOf(i)]!));
  const expected = new Float64Array(entries);
  dy.forEach((d, i) => (expected[entryOf(i)]! += d * x[i]!));
  const dm = new Float32Array(entries);
  got.dm!.forEach((value, i) => (dm[i % entries]! += value));
  assertClose(dm, expected, 2e-6);
}

describe('maskGrad', () => {
  it('gives dy∘m and Σ dy·x for any rows, entries and columns per entry', async () => {
    const rows = fc.constantFrom(1, 2, 17, 64, 65, 131);
    const inner = fc.constantFrom(1, 2, 3, 4, 8, 13, 32, 64, 80, 97, 300);
    const entries = fc.constantFrom(1, 2, 3, 4, 7, 12, 65);
    await fc.assert(fc.asyncProperty(rows, inner, entries, fc.constantFrom(...layouts), fc.boolean(), check), {
      numRuns: 40,
      seed: 5,
    });
  });

  it('gives the gradient of an entry that is 0, where dx is 0', async () => {
    for (const traits of layouts) await check(70, 8, 4, traits);
  });
});
