/** Protects: which matrix shape is taken, that the feature alone is not enough, and what is said where there is none. */
import { describe, expect, it } from 'vitest';
import { findMatrixUnit, matrixShape } from '../../engine/device/matrix.ts';
import { Engine } from '../../engine/engine.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { square } from '../../engine/ops/elementwise.ts';
import { sum } from '../../engine/ops/reduce.ts';
import { AdamW, ADAMW_DEFAULTS, ADAMW_INPUTS } from '../../engine/optim/adamw.ts';
import { SUBGROUP_MATRIX_FEATURE } from '../../kernels/matmul/subgroup-matrix-syntax.ts';

const config = (componentType: string, resultComponentType: string, M: number, N: number, K: number) => ({
  ...{ componentType, resultComponentType, M, N, K },
});

describe('the matrix shape', () => {
  it.each([
    { configs: [], shape: undefined },
    { configs: [config('f16', 'f16', 16, 16, 16), config('f32', 'f32', 8, 8, 8)], shape: undefined },
    { configs: [config('f16', 'f32', 16, 16, 48)], shape: undefined },
    {
      configs: [config('f16', 'f32', 8, 8, 8), config('f16', 'f32', 16, 16, 16), config('u8', 'u32', 16, 16, 32)],
      shape: { m: 16, n: 16, k: 16 },
    },
  ])('of $configs.length configurations: $shape', ({ configs, shape }) => {
    expect(matrixShape(configs)).toEqual(shape);
  });
});

it('a device with the feature and without a shape has no unit', async () => {
  const device = { features: new Set([SUBGROUP_MATRIX_FEATURE, 'shader-f16', 'subgroups']) } as unknown as GPUDevice;
  const adapter = { info: { subgroupMatrixConfigs: [] } } as unknown as GPUAdapter;
  expect(await findMatrixUnit(adapter, device, 32)).toBeUndefined();
});

it('takes the first syntax that the compiler accepts', async () => {
  const asked: string[] = [];
  const device = {
    features: new Set([SUBGROUP_MATRIX_FEATURE, 'shader-f16', 'subgroups']),
    pushErrorScope: () => undefined,
    popErrorScope: () => Promise.resolve(null),
    createShaderModule: ({ code }: { code: string }) => code,
    createComputePipelineAsync: ({ compute }: { compute: { module: string } }) => {
      asked.push(compute.module);
      return compute.module.includes('row_major') ? Promise.reject(new Error('no such value')) : Promise.resolve({});
    },
  } as unknown as GPUDevice;
  const adapter = { info: { subgroupMatrixConfigs: [config('f16', 'f32', 16, 16, 16)] } } as unknown as GPUAdapter;
  const unit = await findMatrixUnit(adapter, device, 32);
  expect(unit).toMatchObject({ m: 16, n: 16, k: 16, syntax: { name: 'layout as an argument' } });
  expect(asked).toHaveLength(2);
});

it('says that f16 products need matrix units', async () => {
  const engine = await Engine.open();
  const has = engine.traits.matrix !== undefined;
  engine.close();
  const opened = Engine.open({ allowF16Matmul: true });
  if (has) (await opened).close();
  else await expect(opened).rejects.toThrow(/`compute` f16: the adapter .* has no matrix units/);
});

it('scaling the loss for f16 products changes no gradient', async () => {
  const norms: number[][] = [];
  for (const allowF16Matmul of [false, true]) {
    const engine = await Engine.open();
    Object.assign(engine, { traits: { ...engine.traits, allowF16Matmul } });
    const parameters = new Parameters(engine, [
      { name: 'p', shape: [3], data: Float32Array.of(0.3, -2, 5), decay: true },
    ]);
    const optimizer = new AdamW(engine, parameters, { ...ADAMW_DEFAULTS, maxGradNorm: 1 });
    const program = await engine.compile('adamw', ADAMW_INPUTS, (inputs) => {
      const step = optimizer.step(sum(square(parameters.get('p').tensor)), inputs);
      return { updates: step.updates, outputs: { gradient: step.gradients.get('p')!, norm: step.norm } };
    });
    program.run(optimizer.inputs(1, 0.1));
    norms.push([...(await program.read('gradient')), ...(await program.read('norm'))]);
    engine.close();
  }
  expect(norms[1]).toEqual(norms[0]);
  expect(norms[0]!.slice(0, 3)).toEqual([...Float32Array.of(0.6, -4, 10)]);
});
