/** Matrix products on both skeletons: every layout, storage type, tile and ragged size, and epilogues of every kind. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Fragment, FragmentInput } from '../../kernels/fragment.ts';
import { MAX_WORKGROUPS, type DeviceTraits } from '../../kernels/kernel.ts';
import { matmul, type MatmulSpec, type MatmulTerm } from '../../kernels/matmul.ts';
import { openTestDevice, toF16, type HostArray } from './harness.ts';
import { erf, randoms } from './reference.ts';

const gpu = await openTestDevice();

const SKELETONS: Record<string, DeviceTraits> = {
  ...(gpu.traits.subgroupSize >= 4 && { broadcast: { ...gpu.traits, software: true } }),
  tiled: { ...gpu.traits, subgroupSize: 0, software: false },
};
const STORAGE = gpu.traits.f16 ? (['f32', 'f16'] as const) : (['f32'] as const);
const LAYOUTS = (['mk', 'km'] as const).flatMap((a) => (['kn', 'nk'] as const).map((b) => ({ a, b })));

interface Operands {
  readonly inputs: Record<string, HostArray>;
  /** Σ_t A_t·B_t in float64, row-major. */
  readonly product: Float64Array;
}

/** Operands of small integers: products are exact in f32 whatever the order of summation, and values exact in f16. */
function operands({ m, n, terms }: MatmulSpec, seed = 1): Operands {
  const inputs: Record<string, HostArray> = {};
  const product = new Float64Array(m * n);
  terms.forEach(({ k, a, b, aType, bType }, t) => {
    const integers = (length: number, s: number) => randoms(length, s, 3).map(Math.round);
    const A = integers(m * k, seed + 2 * t);
    const B = integers(k * n, seed + 2 * t + 1);
    for (let row = 0; row < m; row++) {
      for (let l = 0; l < k; l++) {
        const left = A[a === 'mk' ? row * k + l : l * m + row]!;
        for (let col = 0; col < n; col++) {
          product[row * n + col]! += left * B[b === 'kn' ? l * n + col : col * k + l]!;
        }
      }
    }
    inputs[`a${t}`] = aType === 'f16' ? toF16(A) : A;
    inputs[`b${t}`] = bType === 'f16' ? toF16(B) : B;
  });
  return { inputs, product };
}

const plain = (k: number, a: 'mk' | 'km' = 'mk', b: 'kn' | 'nk' = 'kn'): MatmulTerm => ({
  k,
  a,
  b,
  aType: 'f32',
  bType: 'f32',
});

async function expectProduct(spec: MatmulSpec, traits: DeviceTraits): Promise<void> {
  const { inputs, product } = operands(spec, spec.m + spec.n);
  const { c } = await gpu.run(matmul(spec, traits), inputs, { c: spec.m * spec.n });
  expect(c).toEqual(Float32Array.from(product, (v) => v + 0));
}

describe.each(Object.entries(SKELETONS))('matmul, %s skeleton', (_, traits) => {
  const size = fc.constantFrom(1, 3, 4, 7, 8, 16, 17, 20, 31, 64, 67);
  const storage = fc.constantFrom(...STORAGE);
  const term = fc.record({
    k: size,
    a: fc.constantFrom('mk' as const, 'km' as const),
    b: fc.constantFrom('kn' as const, 'nk' as const),
    aType: storage,
    bType: storage,
  });

  it.each(LAYOUTS)('multiplies A [$a] by B [$b] of any size and storage type', async (layout) => {
    await fc.assert(
      fc.asyncProperty(size, size, term, (m, n, first) =>
        expectProduct({ m, n, terms: [{ ...first, ...layout }] }, traits),
      ),
      { numRuns: 8 },
    );
  });

  it('sums two products of different layouts', async () => {
    await fc.assert(
      fc.asyncProperty(size, size, term, term, (m, n, first, second) =>
        expectProduct({ m, n, terms: [first, second] }, traits),
      ),
      { numRuns: 8 },
    );
  });

  it.each([
    { what: 'columns enough for wide tiles', m: 70, n: 516, terms: [plain(12, 'mk', 'nk')] },
    { what: 'many tiles', m: 1030, n: 1028, terms: [plain(5)] },
    { what: 'a LoRA down-projection', m: 1021, n: 8, terms: [plain(64, 'mk', 'nk')] },
    { what: 'three left-over ranks', m: 530, n: 3, terms: [plain(64, 'mk', 'nk')] },
    { what: 'sixteen columns from rows', m: 259, n: 16, terms: [plain(33, 'km', 'kn')] },
    { what: 'a LoRA up-projection', m: 260, n: 256, terms: [plain(8, 'mk', 'nk')] },
    { what: 'a LoRA weight gradient', m: 8, n: 256, terms: [plain(1021, 'km', 'kn')] },
    { what: 'a transposed LoRA weight gradient', m: 256, n: 8, terms: [plain(1021, 'km', 'kn')] },
    { what: 'a linear layer with LoRA', m: 130, n: 132, terms: [plain(64, 'mk', 'nk'), plain(5, 'mk', 'nk')] },
  ])('computes $what', ({ m, n, terms }) => expectProduct({ m, n, terms }, traits));

  const m = 37;
  const full = (name: string, n: number): FragmentInput => ({ name, dtype: 'f32', inner: 1, count: m * n });

  it.each([64, 10, 35])('applies bias, GELU and residual, n = %d', async (n) => {
    const epilogue: Fragment = {
      inputs: [{ name: 'bias', dtype: 'f32', inner: 1, count: n }, full('residual', n)],
      body: ['let x = acc * V(p.scale) + bias;'],
      params: [{ name: 'scale', type: 'f32', value: 0.0625 }],
      outputs: [{ name: 'y', dtype: 'f32', value: 'gelu_erf(x) + residual' }],
    };
    const spec: MatmulSpec = { m, n, terms: [plain(19), plain(4, 'km', 'nk')], epilogue };
    const { inputs, product } = operands(spec);
    const bias = randoms(n, 5);
    const residual = randoms(m * n, 6);
    const { y } = await gpu.run(matmul(spec, traits), { ...inputs, bias, residual }, { y: m * n });
    product.forEach((acc, i) => {
      const x = acc * 0.0625 + bias[i % n]!;
      const expected = (x / 2) * (1 + erf(x / Math.SQRT2)) + residual[i]!;
      expect(Math.abs(y![i]! - expected)).toBeLessThan(2e-6 * (1 + Math.abs(expected)));
    });
  });

  it.each([64, 9])('writes several outputs and overwrites an input in place, n = %d', async (n) => {
    const epilogue: Fragment = {
      inputs: [
        { name: 'per_row', dtype: 'f32', inner: n, count: m },
        full('running', n),
        { name: 'scalar', dtype: 'f32', inner: 1, count: 1 },
      ],
      body: [],
      outputs: [
        { name: 'raw', dtype: 'f32', value: 'acc' },
        { name: 'total', dtype: 'f32', value: 'running + acc * scalar', inPlaceOf: 'running' },
        { name: 'scaled', dtype: 'i32', value: 'acc * per_row' },
      ],
    };
    const spec: MatmulSpec = { m, n, terms: [plain(20, 'mk', 'nk')], epilogue };
    const kernel = matmul(spec, traits);
    expect(kernel.bindings.map((b) => `${b.role} ${b.name}`)).toEqual([
      'in a0',
      'in b0',
      'in per_row',
      'inout running',
      'in scalar',
      'out raw',
      'out scaled',
    ]);
    const { inputs, product } = operands(spec);
    const per_row = randoms(m, 5, 3).map(Math.round);
    const running = randoms(m * n, 6, 3).map(Math.round);
    const data = { ...inputs, per_row, running, scalar: Float32Array.of(2) };
    const result = await gpu.run<HostArray>(kernel, data, { raw: m * n, scaled: m * n });
    const expected = [...product];
    expect([...result.raw!]).toEqual(expected.map((v) => v + 0));
    expect([...result.running!]).toEqual(expected.map((v, i) => running[i]! + 2 * v + 0));
    expect([...result.scaled!]).toEqual(expected.map((v, i) => v * per_row[Math.floor(i / n)]! + 0));
  });
});

describe('matmul', () => {
  const traits = SKELETONS.tiled!;

  it('covers C when it takes more workgroups than one dispatch dimension holds', async () => {
    const spec: MatmulSpec = { m: 2_200_003, n: 1, terms: [plain(1)] };
    const broadcast = SKELETONS.broadcast ?? traits;
    const kernel = matmul(spec, broadcast);
    expect(kernel.workgroups[0]).toBeLessThanOrEqual(MAX_WORKGROUPS);
    if (SKELETONS.broadcast) expect(kernel.workgroups[1]).toBe(2);
    await expectProduct(spec, broadcast);
  });

  it('shares its text, and so its pipeline, between shapes of one class', () => {
    const text = (m: number, n: number, k: number, t: DeviceTraits) => matmul({ m, n, terms: [plain(k)] }, t).wgsl;
    for (const t of Object.values(SKELETONS)) expect(text(512, 512, 64, t)).toBe(text(1024, 640, 1000, t));
  });

  it('counts its arithmetic and the bytes it must move', () => {
    const terms: MatmulTerm[] = [{ ...plain(5), bType: 'f16' }];
    const { flops, bytes } = matmul({ m: 3, n: 7, terms }, traits);
    expect(flops).toBe(2 * 3 * 7 * 5);
    expect(bytes).toBe(3 * 5 * 4 + 5 * 7 * 2 + 3 * 7 * 4);
  });
});
