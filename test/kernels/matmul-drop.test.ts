/** Protects: dropout drawn inside a product, of an operand or of a term's product, is that of the mask multiplied in beforehand. */
import { describe, expect, it } from 'vitest';
import { randomValues } from '../../engine/testing/index.ts';
import type { DeviceTraits } from '../../kernels/kernel.ts';
import { matmul, matmulConfigs, type MatmulSpec, type MatmulTerm, type ProductDrop } from '../../kernels/matmul.ts';
import { openTestDevice } from './harness.ts';
import { dropoutScale } from './reference.ts';

const gpu = await openTestDevice();
const tiled: DeviceTraits = { ...gpu.traits, subgroupSize: 0, software: false };
const broadcast: DeviceTraits = { ...gpu.traits, software: true };
const TEMPLATES = [
  ...(gpu.traits.subgroupSize >= 4 ? [{ name: 'broadcast', traits: broadcast }] : []),
  { name: 'tiled', traits: tiled },
];

const [SEED, STEP, RATE] = [0xfffffffd, 17, 0.5];
const RANDOM = { random_seed: Uint32Array.of(SEED), random_step: Uint32Array.of(STEP) };

function term(k: number, a: 'mk' | 'km', b: 'kn' | 'nk', drop?: ProductDrop): MatmulTerm {
  return { k, a, b, aType: 'f32', bType: 'f32', ...(drop && { drop }) };
}

const dropped = (of: ProductDrop['of'], ...streams: number[]): ProductDrop => ({ of, rate: RATE, streams });

/** Small integers, and scales of 2: sums are exact in any order. */
function integers(length: number, seed: number): Float32Array {
  return randomValues(length, seed, 3).map(Math.round);
}

/** All, or the default where they are tiled: these take seconds each to compile on a software adapter. */
function someConfigs(spec: MatmulSpec, traits: DeviceTraits): string[] {
  const names = matmulConfigs(spec, traits).map(({ name }) => name);
  return traits.software ? names : names.slice(0, 1);
}

/** What is left of `values` in a stream, if it is one. */
function drop(values: ArrayLike<number>, stream: number | undefined): Float64Array {
  const scale = (i: number) => (stream === undefined ? 1 : dropoutScale(i, SEED, STEP, stream, RATE));
  return Float64Array.from(values, (value, i) => value * scale(i));
}

/** Member `i` of a batch in float64. */
function expected({ m, n, terms }: MatmulSpec, i: number, values: (name: string) => Float32Array): Float64Array {
  const sum = new Float64Array(m * n);
  terms.forEach(({ k, a, b, drop: { of, streams } = { of: undefined, streams: [] } }, t) => {
    const stream = (part: string) => (of === part ? streams[i] : undefined);
    const [A, B] = [drop(values(`a${t}`), stream('a')), drop(values(`b${t}`), stream('b'))];
    const product = new Float64Array(m * n);
    for (let row = 0; row < m; row++)
      for (let col = 0; col < n; col++)
        for (let l = 0; l < k; l++)
          product[row * n + col]! +=
            A[a === 'mk' ? row * k + l : l * m + row]! * B[b === 'kn' ? l * n + col : col * k + l]!;
    drop(product, stream('product')).forEach((value, at) => (sum[at]! += value));
  });
  return sum;
}

function inputsOf({ m, n, terms }: MatmulSpec, seed: number): Record<string, Float32Array> {
  return Object.fromEntries(
    terms.flatMap(({ k }, t) => [
      [`a${t}`, integers(m * k, seed + 2 * t)],
      [`b${t}`, integers(k * n, seed + 2 * t + 1)],
    ]),
  );
}

describe.each(TEMPLATES)('dropout in a product, $name template', ({ traits }) => {
  it.each<MatmulSpec>([
    { m: 37, n: 8, terms: [term(20, 'mk', 'nk', dropped('a', 3))] },
    { m: 5, n: 33, terms: [term(9, 'km', 'kn', dropped('b', 4))] },
    { m: 37, n: 40, terms: [term(8, 'mk', 'kn', dropped('product', 5)), ...(traits.software ? [term(20, 'mk', 'kn')] : [])] }, // prettier-ignore
    { m: 33, n: 7, terms: [term(9, 'km', 'kn'), term(5, 'mk', 'nk', dropped('product', 5))] },
  ])('drops what it is asked to in its configs: $m × $n, $terms', async (spec) => {
    const inputs = inputsOf(spec, 1);
    const sum = expected(spec, 0, (name) => inputs[name]!);
    for (const name of someConfigs(spec, traits)) {
      const { c } = await gpu.run(matmul(spec, traits, name), { ...inputs, ...RANDOM }, { c: spec.m * spec.n });
      expect([...c!], name).toEqual([...sum]);
    }
  });

  it.each<{ spec: MatmulSpec; own: readonly boolean[] }>([
    { spec: { m: 37, n: 8, terms: [term(20, 'mk', 'nk', dropped('a', 3, 9, 4))] }, own: [false, true] },
    { spec: { m: 8, n: 36, terms: [term(21, 'km', 'kn', dropped('b', 4, 1, 2))] }, own: [true, true] },
    { spec: { m: 40, n: 24, terms: [term(8, 'mk', 'kn', dropped('product', 5, 7, 6))] }, own: [true, false] },
  ])('draws from a stream per product of a batch: $spec.m × $spec.n, own operands $own', async ({ spec, own }) => {
    const all = [1, 11, 21].map((seed) => inputsOf(spec, seed));
    const of = (i: number) => (name: string) => all[own[name === 'a0' ? 0 : 1] ? i : 0]![name]!;
    const joined = (name: string, each: boolean): Float32Array =>
      Float32Array.from((each ? [0, 1, 2] : [0]).flatMap((i) => [...of(i)(name)]));
    const inputs = { a0: joined('a0', own[0]!), b0: joined('b0', own[1]!), ...RANDOM };
    const batch = { count: 3, each: [...own, false, false] };
    const { c } = await gpu.run(matmul({ ...spec, batch }, traits), inputs, { c: 3 * spec.m * spec.n });
    expect([...c!]).toEqual([0, 1, 2].flatMap((i) => [...expected(spec, i, of(i))]));
  });

  it('draws from a stream per part of a sum', async () => {
    const terms = [
      term(8, 'mk', 'kn', dropped('product', 5, 7, 6)),
      ...(traits.software ? [term(12, 'mk', 'kn')] : []),
    ];
    const spec: MatmulSpec = { m: 70, n: 40, terms };
    const all = [1, 11, 21].map((seed) => inputsOf(spec, seed));
    const names = Object.keys(all[0]!);
    const joined = (name: string): Float32Array => Float32Array.from(all.flatMap((one) => [...one[name]!]));
    const data = { ...Object.fromEntries(names.map((name) => [name, joined(name)])), ...RANDOM };
    const batch = { count: 3, each: names.map(() => true), sum: true };
    const parts = all.map((one, i) => expected(spec, i, (name) => one[name]!));
    for (const name of someConfigs({ ...spec, batch }, traits)) {
      const { c } = await gpu.run(matmul({ ...spec, batch }, traits, name), data, { c: spec.m * spec.n });
      expect([...c!], name).toEqual([...parts[0]!.map((v, i) => v + parts[1]![i]! + parts[2]![i]!)]);
    }
  });
});
