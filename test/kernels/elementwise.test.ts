/** Fragments on the elementwise kernel: every way of addressing operands, every storage type, any size. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { f32ToF16, type HostArray, randomValues } from '../../engine/testing/index.ts';
import { elementwise } from '../../kernels/elementwise.ts';
import { emitFragment } from '../../kernels/emit-fragment.ts';
import type { Fragment, FragmentInput } from '../../kernels/fragment.ts';
import type { DType } from '../../kernels/kernel.ts';
import { openTestDevice } from './harness.ts';
import { dropoutScale, erf } from './reference.ts';

const gpu = await openTestDevice();

const full = (name: string, count: number, dtype: DType = 'f32'): FragmentInput => ({ name, dtype, inner: 1, count });

/** Integers of small size, exact in every storage type. */
function values(count: number, dtype: DType, seed: number): { stored: HostArray; exact: number[] } {
  const integers = randomValues(count, seed, 8).map((v) => Math.round(v) + 0);
  const exact = [...(dtype === 'u32' ? integers.map(Math.abs) : integers)];
  const f32 = Float32Array.from(exact);
  return {
    stored: { f32, f16: f32ToF16(f32), i32: Int32Array.from(exact), u32: Uint32Array.from(exact) }[dtype],
    exact,
  };
}

/** One operand of a [rows, cols] matrix: which of FragmentInput's documented patterns, and how it is stored. */
const operand = fc.record({
  pattern: fc.constantFrom('full', 'scalar', 'col', 'row', 'group', 'rowGroup'),
  dtype: fc.constantFrom<DType>('f32', 'f16', 'i32', 'u32'),
});

function place(pattern: string, rows: number, group: number, groups: number): { inner: number; count: number } {
  const cols = group * groups;
  if (pattern === 'full') return { inner: 1, count: rows * cols };
  if (pattern === 'scalar') return { inner: 1, count: 1 };
  if (pattern === 'col') return { inner: 1, count: cols };
  if (pattern === 'row') return { inner: cols, count: rows };
  return pattern === 'group' ? { inner: group, count: groups } : { inner: group, count: groups * rows };
}

describe('elementwise', () => {
  it('reads element (i / inner) % count of every operand, whatever its storage type', async () => {
    const dimension = fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 12, 13, 16, 33);
    await fc.assert(
      fc.asyncProperty(
        dimension,
        dimension,
        dimension,
        fc.array(operand, { minLength: 1, maxLength: 4 }),
        async (rows, group, groups, operands) => {
          const size = rows * group * groups;
          const inputs = operands.map(({ pattern, dtype }, i) => ({
            name: `x${i}`,
            dtype,
            ...place(pattern, rows, group, groups),
          }));
          const data = inputs.map((input, i) => values(input.count, input.dtype, i + size));
          const fragment: Fragment = {
            inputs,
            body: [`let weighted = ${inputs.map((x, i) => `V(${10 ** i}.0) * ${x.name}`).join(' + ')};`],
            outputs: [{ name: 'out', dtype: 'f32', value: 'weighted' }],
          };
          const kernel = elementwise(size, fragment, gpu.traits);
          const { out } = await gpu.run(kernel, Object.fromEntries(inputs.map((x, i) => [x.name, data[i]!.stored])), {
            out: size,
          });
          const expected = Array.from({ length: size }, (_, i) =>
            inputs.reduce(
              (sum: number, { inner, count }, k) => sum + 10 ** k * data[k]!.exact[Math.floor(i / inner) % count]!,
              0,
            ),
          );
          expect([...out!]).toEqual(expected);
        },
      ),
      { numRuns: 40, seed: 1 },
    );
  });

  for (const size of [1, 3, 4, 97, 1021, 4096]) {
    it(`writes several outputs, one in place, with converted types (size ${size})`, async () => {
      const x = randomValues(size, 1);
      const y = randomValues(size, 2);
      const fragment: Fragment = {
        inputs: [full('x', size), full('y', size)],
        params: [{ name: 'half', type: 'f32', value: 0.5 }],
        body: ['let sum = x + y;', 'let scaled = V(p.half) * sum;'],
        outputs: [
          { name: 'halved', dtype: 'f32', value: 'scaled', inPlaceOf: 'y' },
          { name: 'stored', dtype: 'f16', value: 'round(x)' },
          { name: 'count', dtype: 'i32', value: 'round(V(100.0) * y)' },
        ],
      };
      const kernel = elementwise(size, fragment, gpu.traits);
      expect(kernel.bindings.map((b) => `${b.name}:${b.role}`)).toEqual(['x:in', 'y:inout', 'stored:out', 'count:out']);
      const got = await gpu.run<HostArray>(kernel, { x, y }, { stored: size, count: size });
      expect(got.y).toEqual(x.map((a, i) => Math.fround(a + y[i]!) * 0.5));
      expect(got.stored).toEqual(f32ToF16(x.map((a) => Math.round(a))));
      expect([...got.count!]).toEqual([...y].map((b) => Math.round(Math.fround(100 * b)) + 0));
      expect(kernel.bytes).toBe(size * (4 + 4 + 4 + 2 + 4));
    });
  }

  it('covers more elements than one dispatch dimension has workgroups', async () => {
    const size = 65535 * 64 + 131;
    const fragment: Fragment = {
      inputs: [],
      body: [],
      outputs: [{ name: 'out', dtype: 'u32', value: 'V(f32(index % 65521u))' }],
    };
    const kernel = elementwise(size, fragment, { ...gpu.traits, software: false });
    expect(kernel.workgroups[1]).toBe(2);
    const { out } = await gpu.run<Uint32Array>(kernel, {}, { out: size });
    expect(out!.findIndex((value, i) => value !== i % 65521)).toBe(-1);
  });

  it('calls library functions, with u32 scalars unconverted for dropout', async () => {
    for (const size of [8, 9]) {
      const x = randomValues(size, 5);
      const fragment: Fragment = {
        inputs: [full('x', size), full('seed', 1, 'u32'), full('step', 1, 'u32')],
        body: ['let activated = gelu_erf(x);'],
        outputs: [{ name: 'out', dtype: 'f32', value: 'activated * dropout_scale(index, seed_u, step_u, 9u, 0.5)' }],
      };
      const inputs = { x, seed: Uint32Array.of(0xfffffffd), step: Uint32Array.of(17) };
      const { out } = await gpu.run(elementwise(size, fragment, gpu.traits), inputs, { out: size });
      x.forEach((a, i) => {
        const expected = 0.5 * a * (1 + erf(a / Math.SQRT2)) * dropoutScale(i, 0xfffffffd, 17, 9, 0.5);
        expect(out![i]).toBeCloseTo(expected, 5);
      });
    }
  });

  it('keeps sizes out of the source, so equal fragments share a pipeline', () => {
    const of = (rows: number, cols: number) =>
      elementwise(
        rows * cols,
        {
          inputs: [full('x', rows * cols), full('b', cols)],
          body: [],
          outputs: [{ name: 'y', dtype: 'f32', value: 'x + b' }],
        },
        gpu.traits,
      ).wgsl;
    expect(of(3, 8)).toBe(of(500, 128));
  });
});

describe('emitFragment', () => {
  it('refuses to write in place of another tensor', () => {
    const fragment: Fragment = {
      inputs: [full('b', 4)],
      body: [],
      outputs: [{ name: 'y', dtype: 'f32', value: 'b', inPlaceOf: 'b' }],
    };
    const options = { name: 'f', size: 8, vector: true, result: 'store' } as const;
    expect(() => emitFragment(fragment, options)).toThrow("y can't be written in place of b");
  });
});
