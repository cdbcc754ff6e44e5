/** Matrix products on both templates: every layout, storage type, tile and ragged size, and epilogues of every kind. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { f32ToF16, type HostArray, randomValues } from '../../engine/testing/index.ts';
import type { Fragment, FragmentInput } from '../../kernels/fragment.ts';
import { MAX_WORKGROUPS, type DeviceTraits } from '../../kernels/kernel.ts';
import { matmul, matmulTuningTask, matmulConfigs, type MatmulSpec, type MatmulTerm } from '../../kernels/matmul.ts';
import { openTestDevice } from './harness.ts';
import { erf } from './reference.ts';

const gpu = await openTestDevice();

const tiled: DeviceTraits = { ...gpu.traits, subgroupSize: 0, software: false };
const broadcast: DeviceTraits | undefined =
  gpu.traits.subgroupSize >= 4 ? { ...gpu.traits, software: true } : undefined;
/** With how many random shapes each is tried: on a software adapter the tiled one takes a second to compile. */
const TEMPLATES = [
  ...(broadcast ? [{ name: 'broadcast', traits: broadcast, runs: 24 }] : []),
  { name: 'tiled', traits: tiled, runs: 2 },
];
const STORAGE = gpu.traits.f16 ? (['f32', 'f16'] as const) : (['f32'] as const);
const LAYOUTS = (['mk', 'km'] as const).flatMap((a) => (['kn', 'nk'] as const).map((b) => ({ a, b })));

interface Operands {
  readonly inputs: Record<string, HostArray>;
  /** Σ_t A_t·B_t in float64, row-major. */
  readonly product: Float64Array;
}

/** Operands of small integers: products are exact in f32 whatever the order of summation, and values exact in f16. */
function operands({ m, n, terms }: MatmulSpec, seed = 1): Operands {
  const values: Record<string, Float32Array> = {};
  const inputs: Record<string, HostArray> = {};
  terms.forEach(({ k, aType, bType }, t) => {
    const integers = (length: number, s: number) => randomValues(length, s, 3).map(Math.round);
    const A = (values[`a${t}`] = integers(m * k, seed + 2 * t));
    const B = (values[`b${t}`] = integers(k * n, seed + 2 * t + 1));
    inputs[`a${t}`] = aType === 'f16' ? f32ToF16(A) : A;
    inputs[`b${t}`] = bType === 'f16' ? f32ToF16(B) : B;
  });
  return { inputs, product: multiply({ m, n, terms }, values) };
}

/** Σ_t A_t·B_t in float64, row-major. */
function multiply({ m, n, terms }: MatmulSpec, values: Readonly<Record<string, Float32Array>>): Float64Array {
  const product = new Float64Array(m * n);
  terms.forEach(({ k, a, b }, t) => {
    const [A, B] = [values[`a${t}`]!, values[`b${t}`]!];
    for (let row = 0; row < m; row++) {
      for (let l = 0; l < k; l++) {
        const left = A[a === 'mk' ? row * k + l : l * m + row]!;
        for (let col = 0; col < n; col++) {
          product[row * n + col]! += left * B[b === 'kn' ? l * n + col : col * k + l]!;
        }
      }
    }
  });
  return product;
}

const plain = (k: number, a: 'mk' | 'km' = 'mk', b: 'kn' | 'nk' = 'kn'): MatmulTerm => ({
  k,
  a,
  b,
  aType: 'f32',
  bType: 'f32',
});

async function expectProduct(spec: MatmulSpec, traits: DeviceTraits, config?: string): Promise<void> {
  const { inputs, product } = operands(spec, spec.m + spec.n);
  const { c } = await gpu.run(matmul(spec, traits, config), inputs, { c: spec.m * spec.n });
  expectExactly(c!, product);
}

function expectExactly(actual: HostArray, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  const wrong = actual.findIndex((value, i) => value !== expected[i]);
  expect(wrong, `element ${wrong} is ${actual[wrong]}, expected ${expected[wrong]}`).toBe(-1);
}

describe.each(TEMPLATES)('matmul, $name template', ({ traits, runs }) => {
  const aligned = { rows: [20, 64, 68], depths: [4, 8, 64, 100], type: 'f32' as const };
  const ragged = { rows: [17, 31, 67], depths: [1, 3, 7, 17, 61], type: STORAGE.at(-1)! };

  it.each(
    LAYOUTS.flatMap((layout) => [
      { ...layout, ...aligned, sizes: 'whole vectors' },
      { ...layout, ...ragged, sizes: 'odd sizes' },
    ]),
  )('multiplies A [$a] by B [$b] of $sizes in $type', async ({ a, b, rows, depths, type }) => {
    const size = fc.constantFrom(...rows);
    await fc.assert(
      fc.asyncProperty(size, size, fc.constantFrom(...depths), (m, n, k) =>
        expectProduct({ m, n, terms: [{ k, a, b, aType: type, bType: type }] }, traits),
      ),
      { numRuns: 6 },
    );
  });

  it('sums one or two products of any layout, size and storage type', async () => {
    const size = fc.constantFrom(1, 2, 3, 4, 7, 8, 12, 16, 17, 31, 64, 67);
    const storage = fc.constantFrom(...STORAGE);
    const term = fc.record({
      k: size,
      a: fc.constantFrom('mk' as const, 'km' as const),
      b: fc.constantFrom('kn' as const, 'nk' as const),
      aType: storage,
      bType: storage,
    });
    await fc.assert(
      fc.asyncProperty(size, size, fc.array(term, { minLength: 1, maxLength: 2 }), (m, n, terms) =>
        expectProduct({ m, n, terms }, traits),
      ),
      { numRuns: runs },
    );
  });

  it.each([
    { what: 'many tiles', m: 1030, n: 1028, terms: [plain(5)] },
    { what: 'many rows, several panels deep', m: 259, n: 72, terms: [plain(200, 'mk', 'nk')] },
    { what: 'many rows of odd sizes', m: 131, n: 69, terms: [plain(67, 'km', 'nk'), plain(9, 'mk', 'kn')] },
    { what: 'a LoRA down-projection', m: 1021, n: 8, terms: [plain(64, 'mk', 'nk')] },
    { what: 'a LoRA weight gradient', m: 8, n: 256, terms: [plain(1021, 'km', 'kn')] },
    { what: 'a transposed LoRA weight gradient', m: 256, n: 16, terms: [plain(1021, 'km', 'kn')] },
  ])('computes $what', ({ m, n, terms }) => expectProduct({ m, n, terms }, traits));

  it.each([
    { m: 150, n: 140 },
    { m: 150, n: 9 },
    { m: 9, n: 150 },
    { m: 3, n: 150 },
    { m: 1, n: 150 },
  ])('computes the same in every config that a tuner may choose, $m × $n', async ({ m, n }) => {
    const spec: MatmulSpec = { m, n, terms: [plain(20, 'mk', 'nk')] };
    const configs = matmulConfigs(spec, traits);
    expect(new Set(configs.map(({ name }) => name)).size).toBe(configs.length);
    for (const { name } of configs) await expectProduct(spec, traits, name);
  });

  const m = 37;
  const full = (name: string, n: number): FragmentInput => ({ name, dtype: 'f32', inner: 1, count: m * n });

  it.each([
    { n: 64, terms: [plain(64, 'mk', 'nk'), plain(5, 'mk', 'nk')] },
    { n: 3, terms: [plain(64, 'mk', 'nk')] },
  ])('applies bias, GELU and residual, n = $n', async ({ n, terms }) => {
    const epilogue: Fragment = {
      inputs: [{ name: 'bias', dtype: 'f32', inner: 1, count: n }, full('residual', n)],
      body: ['let x = acc * V(p.scale) + bias;'],
      params: [{ name: 'scale', type: 'f32', value: 0.03125 }],
      outputs: [{ name: 'y', dtype: 'f32', value: 'gelu_erf(x) + residual' }],
    };
    const spec: MatmulSpec = { m, n, terms, epilogue };
    const { inputs, product } = operands(spec);
    const bias = randomValues(n, 5);
    const residual = randomValues(m * n, 6);
    const { y } = await gpu.run(matmul(spec, traits), { ...inputs, bias, residual }, { y: m * n });
    product.forEach((acc, i) => {
      const x = acc * 0.03125 + bias[i % n]!;
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
    const per_row = randomValues(m, 5, 3).map(Math.round);
    const running = randomValues(m * n, 6, 3).map(Math.round);
    const data = { ...inputs, per_row, running, scalar: Float32Array.of(2) };
    const result = await gpu.run<HostArray>(kernel, data, { raw: m * n, scaled: m * n });
    expectExactly(result.raw!, product);
    expectExactly(
      result.running!,
      product.map((v, i) => running[i]! + 2 * v),
    );
    expectExactly(
      result.scaled!,
      product.map((v, i) => v * per_row[Math.floor(i / n)]!),
    );
  });
});

describe.each(TEMPLATES)('a batch of products, $name template', ({ traits }) => {
  const rows = [plain(20, 'mk', 'nk'), plain(8, 'mk', 'kn')];
  const columns = [plain(12, 'km', 'kn'), plain(5, 'km', 'nk')];

  /** Three products' operands; where all have one, it is the first product's. */
  function batched(spec: MatmulSpec, each: readonly boolean[]) {
    const names = spec.terms.flatMap((_, t) => [`a${t}`, `b${t}`]);
    const all = [0, 1, 2].map((i) => {
      const own = operands(spec, 10 * i + 1).inputs as Record<string, Float32Array>;
      const first = operands(spec, 1).inputs as Record<string, Float32Array>;
      return Object.fromEntries(names.map((name, o) => [name, (each[o] ? own : first)[name]!]));
    });
    const joined = (name: string): Float32Array => Float32Array.from(all.flatMap((one) => [...one[name]!]));
    const inputs = Object.fromEntries(names.map((name, o) => [name, each[o] ? joined(name) : all[0]![name]!]));
    return { inputs, products: all.map((one) => multiply(spec, one)) };
  }

  it.each([
    { m: 150, n: 72, terms: rows, own: [true, true, true, true] },
    { m: 70, n: 8, terms: rows, own: [false, true, true, false] },
    { m: 21, n: 7, terms: columns, own: [true, false, false, true] },
  ])('each with operands of its own ($own), biases and residuals, $m × $n', async ({ m, n, terms, own }) => {
    const epilogue: Fragment = {
      inputs: [
        { name: 'bias', dtype: 'f32', inner: 1, count: n },
        { name: 'residual', dtype: 'f32', inner: 1, count: m * n },
        { name: 'scalar', dtype: 'f32', inner: 1, count: 1 },
      ],
      body: [],
      outputs: [{ name: 'y', dtype: 'f32', value: 'acc * scalar + bias + residual' }],
    };
    const spec: MatmulSpec = { m, n, terms, epilogue, batch: { count: 3, each: [...own, true, true, false] } };
    const { inputs, products } = batched(spec, own);
    const bias = randomValues(3 * n, 5, 3).map(Math.round);
    const residual = randomValues(3 * m * n, 6, 3).map(Math.round);
    const data = { ...inputs, bias, residual, scalar: Float32Array.of(2) };
    const { y } = await gpu.run(matmul(spec, traits), data, { y: 3 * m * n });
    const expected = products.flatMap((product, i) =>
      [...product].map((v, at) => 2 * v + bias[i * n + (at % n)]! + residual[i * m * n + at]!),
    );
    expectExactly(y!, expected);
  });

  it('summed into one result', async () => {
    const [m, n] = [70, 40];
    const terms = traits.software ? rows : rows.slice(0, 1);
    const each = terms.flatMap(() => [true, true]);
    const spec: MatmulSpec = { m, n, terms, batch: { count: 3, each, sum: true } };
    const { inputs, products } = batched(spec, each);
    const { c } = await gpu.run(matmul(spec, traits), inputs, { c: m * n });
    expectExactly(
      c!,
      products[0]!.map((v, i) => v + products[1]![i]! + products[2]![i]!),
    );
  });
});

describe('matmul', () => {
  it.runIf(broadcast)('covers C when it takes more workgroups than one dispatch dimension holds', async () => {
    const spec: MatmulSpec = { m: 2_200_003, n: 1, terms: [plain(1)] };
    const [x, y] = matmul(spec, broadcast!).workgroups;
    expect(x).toBeLessThanOrEqual(MAX_WORKGROUPS);
    expect(y).toBeGreaterThan(1);
    await expectProduct(spec, broadcast!);
  });

  it('shares its text, and so its pipeline, between shapes of one class', () => {
    const text = (m: number, n: number, k: number, t: DeviceTraits) => matmul({ m, n, terms: [plain(k)] }, t).wgsl;
    for (const { traits } of TEMPLATES) expect(text(512, 512, 384, traits)).toBe(text(1000, 640, 1500, traits));
  });

  it('is a choice by class: sizes of one class share it, layouts and whole vectors do not', () => {
    const task = (m: number, n: number, k: number, traits: DeviceTraits) =>
      matmulTuningTask({ m, n, terms: [plain(k)] }, traits);
    const large = task(512, 512, 64, tiled);
    expect(task(420, 260, 40, tiled).task).toBe(large.task);
    expect(task(420, 260, 41, tiled).task).not.toBe(large.task);
    expect(large.names.length).toBeGreaterThan(1);
    expect(new Set(large.names.map((name) => large.source(name))).size).toBe(large.names.length);
    expect(() => matmul({ m: 8, n: 8, terms: [plain(8)] }, tiled, 'none such')).toThrow(/no config none such/);
  });

  it('counts its arithmetic and the bytes it must move', () => {
    const terms: MatmulTerm[] = [{ ...plain(5), bType: 'f16' }];
    const { flops, bytes } = matmul({ m: 3, n: 7, terms }, tiled);
    expect(flops).toBe(2 * 3 * 7 * 5);
    expect(bytes).toBe(3 * 5 * 4 + 5 * 7 * 2 + 3 * 7 * 4);
  });
});
