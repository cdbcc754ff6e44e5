/** Room: bench/gpu. Square products on one adapter: every variant is checked, then timed interleaved. */
import { median } from 'simple-statistics';
import type { Program } from '../../engine/compile/program.ts';
import type { Engine } from '../../engine/engine.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { matmulConfigs } from '../../kernels/matmul.ts';

export interface ProductResult {
  readonly variant: string;
  /** Operations per second; 0 where the variant is wrong. */
  readonly rate: number;
  readonly isDefault: boolean;
  readonly fault?: string;
}

const RUNS = 9;
/** Elements of C that are compared with sums in float64. */
const CHECKED = 512;

/** Small integers, exact in f16: C is exact in f32 whatever the order of sums. */
const value = (i: number): number => ((Math.imul(i + 1, 2654435761) >>> 24) % 7) - 3;
/** Bits of −3 … 3 in f16. */
const HALVES = [0xc200, 0xc000, 0xbc00, 0x0000, 0x3c00, 0x4000, 0x4200];

/** A·Bᵀ of side × side by every variant, the default first. @param dtype storage of the operands */
export async function timeProducts(engine: Engine, side: number, dtype: 'f32' | 'f16'): Promise<ProductResult[]> {
  const length = side * side;
  const fill = (from: number): Float32Array | Uint16Array =>
    dtype === 'f32'
      ? Float32Array.from({ length }, (_, i) => value(from + i))
      : Uint16Array.from({ length }, (_, i) => HALVES[value(from + i) + 3]!);
  const a = engine.variable('a', [side, side], { kind: 'state', dtype, data: fill(0) });
  const b = engine.variable('b', [side, side], { kind: 'state', dtype, data: fill(length) });
  const term = { k: side, a: 'mk', b: 'nk', aType: dtype, bType: dtype } as const;
  const names = matmulConfigs({ m: side, n: side, terms: [term] }, engine.traits).map(({ name }) => name);
  const trace = () => ({ outputs: { c: matmul(a.tensor, b.tensor, { transposeB: true }) } });
  const programs: Program[] = [];
  for (const name of names)
    programs.push(await engine.compile(`product ${name}`, {}, trace, { selectConfig: () => name }));
  const faults: (string | undefined)[] = [];
  for (const program of programs) faults.push(await check(program, side));
  const samples = names.map((): number[] => []);
  for (let run = 0; run <= RUNS; run++) {
    for (const [i, program] of programs.entries()) {
      if (faults[i] !== undefined) continue;
      const [nanoseconds = 0] = await program.profile();
      if (run > 0) samples[i]!.push(nanoseconds);
    }
  }
  for (const program of programs) program.dispose();
  engine.free(a);
  engine.free(b);
  return names.map((variant, i) => {
    const fault = faults[i];
    const rate = fault === undefined ? (2 * side ** 3) / (median(samples[i]!) / 1e9) : 0;
    return { variant, rate, isDefault: i === 0, fault };
  });
}

async function check(program: Program, side: number): Promise<string | undefined> {
  program.run();
  const c = await program.read('c');
  const length = side * side;
  for (let n = 0; n < CHECKED; n++) {
    const at = Math.imul(n, 2654435761) >>> 0;
    const [row, col] = [Math.floor(at / 65536) % side, at % side];
    let expected = 0;
    for (let k = 0; k < side; k++) expected += value(row * side + k) * value(length + col * side + k);
    const found = c[row * side + col]!;
    if (found !== expected) return `element [${row}, ${col}] is ${found}, expected ${expected}`;
  }
  return undefined;
}
