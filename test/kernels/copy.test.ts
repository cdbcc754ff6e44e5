/** Strided copies against plain indexing: permutations, slices, repeats and casts of any rank. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { f32ToF16, type HostArray, randomValues } from '../../engine/testing/index.ts';
import { stridedCopy, type StridedCopySpec } from '../../kernels/copy.ts';
import type { DType } from '../../kernels/kernel.ts';
import { openTestDevice } from './harness.ts';

const gpu = await openTestDevice();

/** Input index of every output element, in row-major order. */
function indices({ shape, inStrides, inOffset }: StridedCopySpec): number[] {
  return shape.reduce<number[]>(
    (starts, size, d) => starts.flatMap((start) => Array.from({ length: size }, (_, i) => start + i * inStrides[d]!)),
    [inOffset],
  );
}

function store(values: readonly number[], dtype: DType): HostArray {
  if (dtype === 'i32') return Int32Array.from(values);
  if (dtype === 'u32') return Uint32Array.from(values);
  return dtype === 'f32' ? Float32Array.from(values) : f32ToF16(Float32Array.from(values));
}

async function check(spec: StridedCopySpec): Promise<void> {
  const at = indices(spec);
  const length = Math.max(...at) + 1;
  const signed = spec.from !== 'u32' && spec.to !== 'u32';
  const values = [...randomValues(length, 7, 9)].map((v) => (signed ? Math.round(v) : Math.abs(Math.round(v))) + 0);
  const { out } = await gpu.run<HostArray>(
    stridedCopy(spec, gpu.traits),
    { x: store(values, spec.from) },
    { out: at.length },
  );
  expect(out).toEqual(
    store(
      at.map((i) => values[i]!),
      spec.to,
    ),
  );
}

const size = fc.constantFrom(1, 2, 3, 4, 5, 8, 12);
const dtype = fc.constantFrom<DType>('f32', 'f16', 'i32', 'u32');

describe('stridedCopy', () => {
  it('copies a permuted slice of a tensor, some dimensions repeated, in another type', async () => {
    const dimension = fc.record({ size, extra: fc.constantFrom(0, 0, 1, 4), start: fc.nat(4), repeat: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(dimension, { minLength: 1, maxLength: 5 }),
        fc.array(fc.nat(99), { minLength: 5, maxLength: 5 }),
        dtype,
        dtype,
        async (dims, order, from, to) => {
          fc.pre(dims.reduce((n, d) => n * d.size, 1) <= 20_000);
          const full = dims.map((d) => d.size + d.extra);
          const strides = full.map((_, d) => full.slice(d + 1).reduce((a, b) => a * b, 1));
          const view = dims.map((d, i) => ({
            size: d.size,
            stride: d.repeat && i % 2 ? 0 : strides[i]!,
            key: order[i]!,
          }));
          const inOffset = dims.reduce((sum, d, i) => sum + Math.min(d.start, d.extra) * strides[i]!, 0);
          view.sort((a, b) => a.key - b.key);
          await check({ shape: view.map((d) => d.size), inStrides: view.map((d) => d.stride), inOffset, from, to });
        },
      ),
      { numRuns: 60, seed: 6 },
    );
  });

  it('transposes matrices with and without rows of a multiple of 4', async () => {
    for (const [rows, cols] of [
      [64, 48],
      [33, 17],
      [16, 7],
      [7, 16],
      [1, 5],
    ] as const) {
      await check({ shape: [cols, rows], inStrides: [1, cols], inOffset: 0, from: 'f32', to: 'f32' });
    }
  });

  it('truncates floats towards zero when they become integers', async () => {
    const x = Float32Array.of(1.9, -1.9, 0.5, -0.5, 7, -8);
    const spec: StridedCopySpec = { shape: [6], inStrides: [1], inOffset: 0, from: 'f32', to: 'i32' };
    const { out } = await gpu.run<Int32Array>(stridedCopy(spec, gpu.traits), { x }, { out: 6 });
    expect([...out!]).toEqual([1, -1, 0, 0, 7, -8]);
  });

  it('covers more elements than one dispatch dimension has workgroups', async () => {
    const count = 65535 * 64 + 71;
    const spec: StridedCopySpec = { shape: [count], inStrides: [0], inOffset: 2, from: 'u32', to: 'u32' };
    const kernel = stridedCopy(spec, { ...gpu.traits, software: false });
    expect(kernel.workgroups[1]).toBe(2);
    const { out } = await gpu.run<Uint32Array>(kernel, { x: Uint32Array.of(1, 2, 3) }, { out: count });
    expect(out!.findIndex((value) => value !== 3)).toBe(-1);
  });
});
