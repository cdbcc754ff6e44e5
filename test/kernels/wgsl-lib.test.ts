/** The WGSL library against float64 references, and Philox against the generator's published known answers. */
import { describe, expect, it } from 'vitest';
import { declare, type Binding, type Kernel } from '../../kernels/kernel.ts';
import { prelude } from '../../kernels/wgsl-lib.ts';
import { openTestDevice } from './harness.ts';
import { dropoutScale, erf, philox } from './reference.ts';

const gpu = await openTestDevice();

/** A kernel that evaluates `expression` of `x` on an array, in scalar or vector form. */
function mapKernel(expression: string, vector: boolean, groups: number): Kernel {
  const bindings: Binding[] = [
    { name: 'a', dtype: 'f32', role: 'in' },
    { name: 'out', dtype: 'f32', role: 'out' },
  ];
  const main = `@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&out)) { let x = a[id.x]; let index = id.x * ${vector ? 4 : 1}u; out[id.x] = ${expression}; }
}`;
  const declared = declare(bindings, [], new Set(vector ? ['a', 'out'] : []));
  return {
    name: 'map',
    wgsl: [declared, prelude(main, vector), main].join('\n'),
    bindings,
    params: [],
    workgroups: [groups, 1, 1],
    flops: 0,
    bytes: 0,
  };
}

async function evaluate(expression: string, x: Float32Array, vector = true): Promise<Float32Array> {
  const groups = Math.ceil(x.length / (vector ? 256 : 64));
  return (await gpu.run(mapKernel(expression, vector, groups), { a: x }, { out: x.length })).out!;
}

/** A sweep over the interesting range with the far ends appended. */
const SWEEP = Float32Array.from({ length: 4096 }, (_, i) =>
  i < 4084 ? -8 + (16 * i) / 4083 : [-1e4, -300, -88, -50, -1e-6, -1e-30, 1e-30, 1e-6, 50, 88, 300, 1e4][i - 4084]!,
);

const phi = (x: number) => Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);
const inner = (x: number) => Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
const REFERENCES: Record<string, (x: number) => number> = {
  erf,
  tanh_safe: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  silu: (x) => x / (1 + Math.exp(-x)),
  silu_grad: (x) => (1 + x / (1 + Math.exp(x))) / (1 + Math.exp(-x)),
  gelu_erf: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  gelu_erf_grad: (x) => 0.5 * (1 + erf(x / Math.SQRT2)) + x * phi(x),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(inner(x))),
  gelu_tanh_grad: (x) => {
    const t = Math.tanh(inner(x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
  },
};

describe('functions over V', () => {
  for (const [name, reference] of Object.entries(REFERENCES)) {
    it(`${name} is within 1e-6 (absolute, or relative above 1) from -1e4 to 1e4`, async () => {
      const got = await evaluate(`${name}(x)`, SWEEP);
      SWEEP.forEach((x, i) => {
        const expected = reference(x);
        expect(Math.abs(got[i]! - expected), `${name}(${x})`).toBeLessThan(1e-6 * Math.max(1, Math.abs(expected)));
      });
    });
  }

  it('scalar and vector forms agree bit for bit', async () => {
    for (const name of Object.keys(REFERENCES)) {
      expect(await evaluate(`${name}(x)`, SWEEP, false)).toEqual(await evaluate(`${name}(x)`, SWEEP, true));
    }
  });
});

describe('philox', () => {
  // Random123's kat_vectors file: counter, key, result.
  const KNOWN = [
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [~0, ~0, ~0, ~0],
      [~0, ~0],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const;

  it('gives the known answers of Philox 4x32-10', async () => {
    const bindings: Binding[] = [
      { name: 'a', dtype: 'u32', role: 'in' },
      { name: 'out', dtype: 'u32', role: 'out' },
    ];
    const main = `@compute @workgroup_size(1) fn main(@builtin(workgroup_id) id: vec3<u32>) {
  out[id.x] = philox(a[2u * id.x], a[2u * id.x + 1u].xy);
}`;
    const wgsl = [declare(bindings, [], new Set(['a', 'out'])), prelude(main, true), main].join('\n');
    const kernel: Kernel = { name: 'philox', wgsl, bindings, params: [], workgroups: [3, 1, 1], flops: 0, bytes: 0 };
    const a = Uint32Array.from(KNOWN.flatMap(([counter, key]) => [...counter, ...key, 0, 0]));
    const { out } = await gpu.run<Uint32Array>(kernel, { a }, { out: 12 });
    expect([...out!]).toEqual(KNOWN.flatMap(([, , result]) => [...result]));
    for (const [counter, key, result] of KNOWN) expect(philox([...counter], [...key])).toEqual([...result]);
  });

  it('dropout_scale draws the documented word for each element, the same in scalar and vector hosts', async () => {
    const x = new Float32Array(4 * 333);
    for (const [seed, step, stream, rate] of [
      [7, 3, 11, 0.1],
      [0xffffffff, 0x80000001, 5, 0.5],
      [1, 0, 0, 0],
    ] as const) {
      const call = `dropout_scale(index, ${seed}u, ${step}u, ${stream}u, ${rate.toFixed(3)})`;
      const vector = await evaluate(call, x, true);
      expect(await evaluate(call, x, false)).toEqual(vector);
      const expected = x.map((_, i) => dropoutScale(i, seed, step, stream, rate));
      vector.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 5));
    }
  });
});

describe('prelude', () => {
  it('holds only what the text calls, directly or through another function', () => {
    expect(prelude('let y = x + V(1.0);', true)).toBe('alias V = vec4<f32>;');
    const text = prelude('gelu_erf(x)', false);
    expect(text).toContain('alias V = f32;');
    expect(text).toContain('fn erf(');
    expect(text).not.toMatch(/fn (gelu_erf_grad|tanh_safe|philox)/);
    expect(prelude('dropout_scale(index, 1u, 2u, 3u, 0.5)', true)).toMatch(
      /fn mul_high[^]*fn philox[^]*fn dropout_scale/,
    );
  });
});
