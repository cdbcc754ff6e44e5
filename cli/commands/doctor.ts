/** Room: cli. `doctor`: what this machine offers, and whether the engine computes right on it. */
import type { Command } from 'commander';
import { Engine } from '../../engine/engine.ts';
import { gelu } from '../../engine/ops/elementwise.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { print } from '../context.ts';

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('adapter, driver, features, limits, kernel variants, and a self-check')
    .option('--json', 'print as JSON')
    .action(runDoctor);
}

/** Rows and columns of the self-check: odd on purpose. */
const CHECK = { m: 37, k: 29, n: 23 };

async function runDoctor({ json }: { readonly json?: boolean }): Promise<void> {
  const engine = await Engine.open();
  try {
    const { adapter, traits } = engine;
    const error = await selfCheck(engine);
    const variants = {
      matmul: traits.software && traits.subgroupSize >= 4 ? 'subgroup broadcast' : 'workgroup tiles',
      matrix: traits.matrix ? `f16, ${traits.matrix.m}×${traits.matrix.n}×${traits.matrix.k}` : 'none',
      storage: traits.f16 ? 'f32, f16' : 'f32',
    };
    const report = { adapter, traits, variants, selfCheck: { largestError: error, passed: error < 1e-5 } };
    const { limits } = adapter;
    const text = [
      `Adapter     ${adapter.device}${adapter.software ? ' (software: a GPU would be much faster)' : ''}`,
      `Driver      ${adapter.description || 'unknown'}`,
      `Features    subgroups ${traits.subgroupSize || 'no'}, shader-f16 ${traits.f16 ? 'yes' : 'no'}, timestamps ${adapter.features.includes('timestamp-query') ? 'yes' : 'no'}`,
      `Limits      binding ${megabytes(limits.maxStorageBufferBindingSize)}, buffer ${megabytes(limits.maxBufferSize)}, ${limits.maxStorageBuffersPerShaderStage} storage buffers, workgroup memory ${limits.maxComputeWorkgroupStorageSize} bytes`,
      `Kernels     products by ${variants.matmul}; matrix units ${variants.matrix}; weights stored as ${variants.storage}`,
      `Self-check  ${report.selfCheck.passed ? 'passed' : 'FAILED'}: largest error ${error.toExponential(1)}`,
      report.selfCheck.passed
        ? 'All is well: `npx light-peft run --help` shows what a run needs.'
        : 'The device computes wrong results: update its driver, or report this with the lines above.',
    ].join('\n');
    print(json, report, text);
    if (!report.selfCheck.passed) process.exitCode = 1;
  } finally {
    engine.close();
  }
}

function megabytes(bytes: number | undefined): string {
  return bytes === undefined ? 'unknown' : `${Math.round(bytes / 2 ** 20)} MiB`;
}

/** Largest error of gelu(a·b) against the same in float64. */
async function selfCheck(engine: Engine): Promise<number> {
  const { m, k, n } = CHECK;
  const a = Float32Array.from({ length: m * k }, (_, i) => Math.sin(i));
  const b = Float32Array.from({ length: k * n }, (_, i) => Math.cos(i) / k);
  const tensor = (name: string, shape: number[], data: Float32Array) =>
    engine.variable(name, shape, { kind: 'state', data }).tensor;
  const found = await engine.evaluate(gelu(matmul(tensor('a', [m, k], a), tensor('b', [k, n], b))));
  let largest = 0;
  for (let i = 0; i < m * n; i++) {
    let x = 0;
    for (let j = 0; j < k; j++) x += a[Math.floor(i / n) * k + j]! * b[j * n + (i % n)]!;
    largest = Math.max(largest, Math.abs(found[i]! - x * normalCdf(x)));
  }
  return largest;
}

/** Φ(x) by its Taylor series, exact to rounding for the small x of the check. */
function normalCdf(x: number): number {
  let term = x;
  let total = x;
  for (let i = 1; Math.abs(term) > 1e-18; i++) {
    term *= (-x * x) / (2 * i);
    total += term / (2 * i + 1);
  }
  return 0.5 + total / Math.sqrt(2 * Math.PI);
}
