/** Rows by index and their sums back: any width, f16 tables, ids out of range, repeated ids in fixed order. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gatherRows, scatterRows } from '../../kernels/gather.ts';
import type { DeviceTraits } from '../../kernels/kernel.ts';
import { openTestDevice, toF16 } from './harness.ts';
import { expectClose, randoms } from './reference.ts';

const gpu = await openTestDevice();
const layouts: DeviceTraits[] = [
  { ...gpu.traits, software: true },
  { ...gpu.traits, software: false },
];

/** Ids over the table and a little beyond both its ends. */
const idsOf = (count: number, rows: number) =>
  Int32Array.from(randoms(count, rows + count), (v) => Math.floor((v / 7 + 0.5) * (rows + 2)) - 1);

const sizes = fc.record({
  rows: fc.constantFrom(1, 2, 5, 63, 64, 65, 300),
  cols: fc.constantFrom(1, 3, 4, 7, 8, 64, 129, 260),
  count: fc.constantFrom(1, 2, 3, 63, 64, 65, 257),
  traits: fc.constantFrom(...layouts),
});

describe('gatherRows', () => {
  it('copies the rows named, and zeros for ids outside the table', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.constantFrom('f32', 'f16'), async ({ rows, cols, count, traits }, tableType) => {
        const table = randoms(rows * cols, 1, 8).map(Math.round);
        const ids = idsOf(count, rows);
        const kernel = gatherRows({ rows, cols, count, tableType }, traits);
        const stored = tableType === 'f16' ? toF16(table) : table;
        const { out } = await gpu.run(kernel, { table: stored, ids }, { out: count * cols });
        const expected = new Float32Array(count * cols);
        ids.forEach((id, i) => {
          if (id >= 0 && id < rows) expected.set(table.subarray(id * cols, (id + 1) * cols), i * cols);
        });
        expect([...out!].map((v) => v + 0)).toEqual([...expected].map((v) => v + 0));
      }),
      { numRuns: 30, seed: 10 },
    );
  });
});

describe('scatterRows', () => {
  it('sums the rows of each id, leaves other rows 0 and drops ids outside the table', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async ({ rows, cols, count, traits }) => {
        const ids = idsOf(count, rows);
        const dy = randoms(count * cols, 2);
        const kernel = scatterRows({ rows, cols, count }, traits);
        const { dtable } = await gpu.run(kernel, { ids, dy }, { dtable: rows * cols });
        const expected = new Float64Array(rows * cols);
        ids.forEach((id, i) => {
          if (id < 0 || id >= rows) return;
          for (let c = 0; c < cols; c++) expected[id * cols + c]! += dy[i * cols + c]!;
        });
        expectClose(dtable!, expected, 1e-6);
      }),
      { numRuns: 30, seed: 11 },
    );
  });

  it('adds repeated ids in their order, so that the sum is the same every time', async () => {
    const [rows, cols, count] = [70, 8, 500];
    const ids = Int32Array.from({ length: count }, (_, i) => (i % 3 === 0 ? 69 : i % 70));
    const dy = randoms(count * cols, 3);
    const expected = new Float32Array(rows * cols);
    ids.forEach((id, i) => {
      for (let c = 0; c < cols; c++) expected[id * cols + c]! += dy[i * cols + c]!;
    });
    for (const traits of layouts) {
      const { dtable } = await gpu.run(
        scatterRows({ rows, cols, count }, traits),
        { ids, dy },
        { dtable: rows * cols },
      );
      expect(dtable).toEqual(expected);
    }
  });
});
