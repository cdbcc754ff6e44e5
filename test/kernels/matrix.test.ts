/**
 * Products on matrix units. No software adapter has them: the text goes through Dawn's compiler on its null backend, and the
 * arithmetic around the matrices (staging, padding, places, epilogue) runs with products written out in plain WGSL.
 */
import { create, globals } from 'webgpu';
import { describe, expect, it } from 'vitest';
import { f32ToF16, type HostArray, randomValues } from '../../engine/testing/index.ts';
import type { Fragment } from '../../kernels/fragment.ts';
import type { DeviceTraits } from '../../kernels/kernel.ts';
import { matmul, matmulConfigs, type MatmulSpec, type MatmulTerm } from '../../kernels/matmul.ts';
import {
  SUBGROUP_MATRIX_FEATURE,
  SUBGROUP_MATRIX_SYNTAXES,
  type SubgroupMatrixShape,
  type SubgroupMatrixSyntax,
} from '../../kernels/matmul/subgroup-matrix-syntax.ts';
import { openTestDevice } from './harness.ts';

const gpu = await openTestDevice();
/** Another k than m: a mix-up shows. */
const EMULATED_SHAPE = { m: 16, n: 16, k: 8 };
const NVIDIA = { m: 16, n: 16, k: 16 };

/** A subgroup has a lane per four neighbours of a sum; factors stay where they are staged. */
const EMULATED: SubgroupMatrixSyntax = {
  name: 'emulated',
  enables: ['f16'],
  directives: [],
  zero: (name) => `var ${name} = vec4<f32>();`,
  load: (name, _side, _shape, { offset, stride }, rows) =>
    `let ${name} = vec3<u32>(${offset}, ${rows ? `${stride}u, 1u` : `1u, ${stride}u`});`,
  multiplyAdd: (sum, left, right, { n, k }) => {
    const a = `a_tile[${left}.x + lane / ${n / 4}u * ${left}.y + l * ${left}.z]`;
    const b = (d: number): string =>
      `f32(b_tile[${right}.x + l * ${right}.y + (lane % ${n / 4}u * 4u + ${d}u) * ${right}.z])`;
    // A bound the compiler does not know, so that it does not unroll.
    return `for (var l = 0u; l < min(${k}u, p.m); l++) { ${sum} += f32(${a}) * vec4<f32>(${[0, 1, 2, 3].map(b).join(', ')}); }`;
  },
  store: (sum, { n }, { array, offset, stride }) =>
    [0, 1, 2, 3]
      .map((d) => `${array}[${offset} + lane / ${n / 4}u * ${stride}u + lane % ${n / 4}u * 4u + ${d}u] = ${sum}[${d}];`)
      .join(' '),
};

function traitsWith(
  shape: SubgroupMatrixShape,
  syntax: SubgroupMatrixSyntax,
  more: Partial<DeviceTraits> = {},
): DeviceTraits {
  const matrix = { ...shape, syntax };
  const subgroupSize = (shape.m * shape.n) / 4;
  return { ...gpu.traits, software: false, subgroupSize, workgroupMemory: 49152, matrix, ...more };
}

const term = (k: number, a: 'mk' | 'km', b: 'kn' | 'nk', type: 'f16' | 'f32' = 'f16'): MatmulTerm => ({
  ...{ k, a, b, aType: type, bType: type },
});

/** Small integers: exact in f16, and their sums in f32. */
function operands({ m, n, terms }: MatmulSpec): { inputs: Record<string, HostArray>; product: Float64Array } {
  const inputs: Record<string, HostArray> = {};
  const product = new Float64Array(m * n);
  terms.forEach(({ k, a, b, aType, bType }, t) => {
    const A = randomValues(m * k, 2 * t + m, 3).map(Math.round);
    const B = randomValues(k * n, 2 * t + n, 3).map(Math.round);
    for (let i = 0; i < m * n; i++) {
      const [row, col] = [Math.floor(i / n), i % n];
      for (let l = 0; l < k; l++)
        product[i]! += A[a === 'mk' ? row * k + l : l * m + row]! * B[b === 'kn' ? l * n + col : col * k + l]!;
    }
    inputs[`a${t}`] = aType === 'f16' ? f32ToF16(A) : A;
    inputs[`b${t}`] = bType === 'f16' ? f32ToF16(B) : B;
  });
  return { inputs, product };
}

const SPECS: readonly MatmulSpec[] = [
  { m: 36, n: 36, terms: [term(36, 'mk', 'nk')] },
  { m: 70, n: 33, terms: [term(45, 'km', 'kn')] },
  { m: 130, n: 68, terms: [term(64, 'mk', 'kn', 'f32'), term(5, 'km', 'nk', 'f32')] },
];

describe.runIf(gpu.traits.f16)('products on emulated matrix units', () => {
  it('equal float64: operands as f32, whole matrices', async () => {
    const spec = { m: 70, n: 68, terms: [term(33, 'km', 'kn', 'f32')] };
    const { inputs, product } = operands(spec);
    const kernel = matmul(spec, traitsWith(EMULATED_SHAPE, EMULATED, { allowF16Matmul: true }), 'matrix64x64');
    const { c } = await gpu.run(kernel, inputs, { c: spec.m * spec.n });
    expect([...c!]).toEqual([...product]);
  });

  it('equal float64: operands as f16, odd sizes, an epilogue that must run once per element', async () => {
    const [m, n] = [37, 35];
    const epilogue: Fragment = {
      inputs: [{ name: 'running', dtype: 'f32', inner: 1, count: m * n }],
      body: [],
      outputs: [{ name: 'total', dtype: 'f32', value: 'running + acc', inPlaceOf: 'running' }],
    };
    const spec = { m, n, terms: [term(45, 'mk', 'nk')], epilogue };
    const { inputs, product } = operands(spec);
    const kernel = matmul(spec, traitsWith(EMULATED_SHAPE, EMULATED), 'matrix32x32');
    const { running } = await gpu.run(kernel, { ...inputs, running: new Float32Array(m * n).fill(3) }, {});
    expect([...running!]).toEqual([...product].map((v) => v + 3));
  });
});

describe('the choice of matrix units', () => {
  const spec = (type: 'f16' | 'f32', m = 4096): MatmulSpec => ({ m, n: 4096, terms: [term(4096, 'mk', 'nk', type)] });
  const first = (s: MatmulSpec, more?: Partial<DeviceTraits>) =>
    matmulConfigs(s, traitsWith(NVIDIA, SUBGROUP_MATRIX_SYNTAXES[0]!, { subgroupSize: 32, ...more }))[0]!.name;

  it('takes f16 operands, f32 ones only where that is allowed, and no thin product', () => {
    expect(first(spec('f16'))).toBe('matrix128x128');
    expect(first(spec('f32'))).toBe('128x64x8');
    expect(first(spec('f32'), { allowF16Matmul: true })).toBe('matrix128x128');
    expect(first(spec('f16', 8))).not.toMatch(/matrix/);
    expect(first(spec('f16'), { workgroupMemory: 16384 })).toBe('matrix64x64');
    expect(first(spec('f16'), { subgroupSize: 0 })).toBe('128x64x8');
  });
});

describe('the text of matrix products', () => {
  it.each(SUBGROUP_MATRIX_SYNTAXES)('is accepted by Dawn’s compiler: $name', async (syntax) => {
    Object.assign(globalThis, globals);
    const dawn = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
    const adapter = await dawn.requestAdapter();
    const features = [SUBGROUP_MATRIX_FEATURE, 'shader-f16', 'subgroups'] as GPUFeatureName[];
    const device = await adapter!.requestDevice({ requiredFeatures: features });
    const traits = traitsWith(NVIDIA, syntax, { subgroupSize: 32, allowF16Matmul: true });
    const wgsl = SPECS.flatMap((spec) =>
      matmulConfigs(spec, traits)
        .filter(({ name }) => name.startsWith('matrix'))
        .map(({ name }) => matmul(spec, traits, name).wgsl),
    );
    expect(wgsl.length).toBeGreaterThan(6);
    for (const code of [...wgsl, wgsl[0]!.replace('subgroupMatrixLoad', 'subgroupMatrixRead')]) {
      device.pushErrorScope('validation');
      const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
      await device.popErrorScope();
      const errors = messages.filter((m) => m.type === 'error').map((m) => m.message);
      if (wgsl.includes(code)) expect(errors).toEqual([]);
      else expect(errors.join()).toMatch(/subgroupMatrixRead/);
    }
    device.destroy();
  });
});
