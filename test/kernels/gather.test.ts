/** Rows by index, their sums back, and rows written in place: any width, f16, ids out of range, repeated ids in fixed order. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assertClose, f32ToF16, randomValues } from '../../engine/testing/index.ts';
import { gatherRows, scatterRows } from '../../kernels/gather.ts';
import type { DeviceTraits } from '../../kernels/kernel.ts';
import { writeRows } from '../../kernels/write-rows.ts';
import { openTestDevice } from './harness.ts';

const gpu = await openTestDevice();
const layouts: DeviceTraits[] = [
  { ...gpu.traits, software: true },
  { ...gpu.traits, software: false },
];

/** Ids over the table and a little beyond both its ends. */
const idsOf = (count: number, rows: number) =>
  Int32Array.from(randomValues(count, rows + count), (v) => Math.floor((v / 7 + 0.5) * (rows + 2)) - 1);

const sizes = fc.record({
  rows: fc.constantFrom(1, 2, 5, 63, 64, 65, 300),
  cols: fc.constantFrom(1, 3, 4, 7, 8, 64, 129, 260),
  count: fc.constantFrom(1, 2, 3, 63, 64, 65, 257),
  traits: fc.constantFrom(...layouts),
});

describe('gatherRows', () => {
  it('copies the rows named, of a table whole or in parts, and zeros for ids outside it', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.constantFrom('f32', 'f16'), fc.nat(3), async (size, tableType, cuts) => {
        const { rows, cols, count, traits } = size;
        const table = randomValues(rows * cols, 1, 8).map(Math.round);
        const ids = idsOf(count, rows);
        const stored = tableType === 'f16' ? f32ToF16(table) : table;
        const each = Math.ceil(rows / (cuts + 1));
        const parts = Array.from({ length: Math.ceil(rows / each) }, (_, t) =>
          stored.subarray(t * each * cols, (t + 1) * each * cols),
        );
        const spec = { rows: parts.map(({ length }) => length / cols), cols, count, tableType };
        const tables = Object.fromEntries(parts.map((part, t) => [`table${t}`, part]));
        const { out } = await gpu.run(gatherRows(spec, traits), { ...tables, ids }, { out: count * cols });
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

describe('writeRows', () => {
  it('replaces the rows at a place, in a copy or in memory, and drops what is past the end', async () => {
    const specs = fc.record({
      batch: fc.constantFrom(1, 3),
      capacity: fc.constantFrom(1, 5, 70),
      count: fc.constantFrom(1, 2, 66),
      cols: fc.constantFrom(1, 3, 4, 36),
      start: fc.constantFrom(0, 2),
      position: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(specs, fc.nat(6), async (spec, place) => {
        const { batch, capacity, count, cols, start } = spec;
        const into = randomValues(batch * capacity * cols, 1);
        const rows = randomValues(batch * count * cols, 2);
        const first = start + (spec.position ? place : 0);
        const expected = into.map((value, i) => {
          const [row, b] = [Math.floor(i / cols) % capacity, Math.floor(i / cols / capacity)];
          const from = row - first;
          return from >= 0 && from < count ? rows[(b * count + from) * cols + (i % cols)]! : value;
        });
        const inputs = { into, rows, position: Int32Array.of(place) };
        const { out } = await gpu.run(writeRows(spec, gpu.traits), inputs, { out: into.length });
        expect(out).toEqual(expected);
        const over = await gpu.run(writeRows(spec, gpu.traits, true), inputs, {});
        expect(over.into).toEqual(expected);
      }),
      { numRuns: 20, seed: 5 },
    );
  });
});

describe('scatterRows', () => {
  it('sums the rows of each id, leaves other rows 0 and drops ids outside the table', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async ({ rows, cols, count, traits }) => {
        const ids = idsOf(count, rows);
        const dy = randomValues(count * cols, 2);
        const kernel = scatterRows({ rows, cols, count }, traits);
        const { dtable } = await gpu.run(kernel, { ids, dy }, { dtable: rows * cols });
        const expected = new Float64Array(rows * cols);
        ids.forEach((id, i) => {
          if (id < 0 || id >= rows) return;
          for (let c = 0; c < cols; c++) expected[id * cols + c]! += dy[i * cols + c]!;
        });
        assertClose(dtable!, expected, 1e-6);
      }),
      { numRuns: 30, seed: 11 },
    );
  });

  it('adds repeated ids in their order, so that the sum is the same every time', async () => {
    const [rows, cols, count] = [70, 8, 500];
    const ids = Int32Array.from({ length: count }, (_, i) => (i % 3 === 0 ? 69 : i % 70));
    const dy = randomValues(count * cols, 3);
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
