/** Room: engine/device. Finds the matrix shape the adapter multiplies, and how its compiler wants that to be spelt. */
import {
  SUBGROUP_MATRIX_FEATURE,
  SUBGROUP_MATRIX_SYNTAXES,
  subgroupMatrixProbe,
  type SubgroupMatrixShape,
  type SubgroupMatrixConfig,
} from '../../kernels/matmul/subgroup-matrix-syntax.ts';

/** An entry of `GPUAdapterInfo.subgroupMatrixConfigs`, which the types package does not know yet. */
interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** The adapter's largest shape with f16 factors and f32 sums. The list counts: a feature may be there and the shape not. */
export function matrixShape(configs: readonly MatrixConfig[]): SubgroupMatrixShape | undefined {
  const fitting = configs
    .filter((config) => config.componentType === 'f16' && config.resultComponentType === 'f32')
    .map(({ M: m, N: n, K: k }) => ({ m, n, k }))
    .filter(({ m, n, k }) => [m, n, k].every((size) => size % 4 === 0 && 32 % size === 0));
  return fitting.sort((a, b) => b.m * b.n * b.k - a.m * a.n * a.k)[0];
}

/** Absent where there is no such unit, or no known syntax compiles. */
export async function findMatrixUnit(
  adapter: GPUAdapter,
  device: GPUDevice,
  subgroupSize: number,
): Promise<SubgroupMatrixConfig | undefined> {
  const needed = [SUBGROUP_MATRIX_FEATURE, 'shader-f16', 'subgroups'];
  if (!needed.every((feature) => device.features.has(feature))) return undefined;
  const { subgroupMatrixConfigs = [] } = adapter.info as { readonly subgroupMatrixConfigs?: readonly MatrixConfig[] };
  const shape = matrixShape([...subgroupMatrixConfigs]);
  if (!shape) return undefined;
  for (const syntax of SUBGROUP_MATRIX_SYNTAXES) {
    if (await compiles(device, subgroupMatrixProbe({ ...shape, syntax }, subgroupSize))) return { ...shape, syntax };
  }
  return undefined;
}

async function compiles(device: GPUDevice, code: string): Promise<boolean> {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ label: 'matrix probe', code });
  const pipeline = device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const built = await pipeline.then(
    () => true,
    () => false,
  );
  return (await device.popErrorScope()) === null && built;
}
