/** Room: kernels/matmul. How an operand is read: one WGSL function `load_<name>(k, at)`, `at` being its row or column of C. */
import { dropScale, type DropScale } from './drop.ts';
import type { MatmulSpec, MatmulTerm } from './spec.ts';

export interface Operand {
  readonly name: string;
  /** Its dimension that C has too. */
  readonly outer: 'm' | 'n';
  /** Whether k is the contiguous dimension. */
  readonly kContiguous: boolean;
  /** Whether the buffer is an array of vec4. */
  readonly vector: boolean;
  readonly load: string;
}

/** What a template wants of an operand. */
export interface LoadOptions {
  /** Load four neighbours along the contiguous dimension (a vec4<f32>), from a multiple of four on, or one f32. */
  readonly four: boolean;
  /** Give zeros where k is past the end; else the caller keeps k within. Rows and columns past the end repeat the last. */
  readonly guardK: boolean;
}

export function operandA(spec: MatmulSpec, t: number, options: LoadOptions): Operand {
  const { k, a, drop } = spec.terms[t] as MatmulTerm;
  const kContiguous = a === 'mk';
  return operand({
    ...{ name: `a${t}`, outer: 'm', t, kContiguous, contiguous: kContiguous ? k : spec.m },
    each: spec.batch?.each[2 * t] === true,
    ...(drop?.of === 'a' && { drop: dropScale(spec, t) }),
    ...options,
  });
}

export function operandB(spec: MatmulSpec, t: number, options: LoadOptions): Operand {
  const { k, b, drop } = spec.terms[t] as MatmulTerm;
  const kContiguous = b === 'nk';
  return operand({
    ...{ name: `b${t}`, outer: 'n', t, kContiguous, contiguous: kContiguous ? k : spec.n },
    each: spec.batch?.each[2 * t + 1] === true,
    ...(drop?.of === 'b' && { drop: dropScale(spec, t) }),
    ...options,
  });
}

interface Reading extends LoadOptions, Pick<Operand, 'name' | 'outer' | 'kContiguous'> {
  readonly t: number;
  /** Length of the contiguous dimension. */
  readonly contiguous: number;
  /** Whether each product of a batch has its own. */
  readonly each: boolean;
  readonly drop?: DropScale;
}

function operand({ name, outer, t, kContiguous, contiguous, each, drop, four, guardK }: Reading): Operand {
  const vector = four && contiguous % 4 === 0;
  const depth = `p.k${t}`;
  const within = (k: string) => (guardK ? `min(${k}, ${depth} - 1u)` : k);
  const clamp = (at: string) => `min(${at}, p.${outer} - 1u)`;
  const first = each ? `batch * (${depth} * p.${outer}) + ` : '';
  const firstQuad = each ? `batch * (${depth} * p.${outer} / 4u) + ` : '';
  const index = (k: string, at: string) =>
    kContiguous ? `${clamp(at)} * ${depth} + ${within(k)}` : `${within(k)} * p.${outer} + ${clamp(at)}`;
  const quad = kContiguous
    ? `${clamp('at')} * (${depth} / 4u) + ${within('k')} / 4u`
    : `${within('k')} * (p.${outer} / 4u) + min(at / 4u, p.${outer} / 4u - 1u)`;
  const block = `vec4<f32>(${name}[${firstQuad}${quad}])${drop ? ` * ${drop.block(quad)}` : ''}`;
  const one = (d: number) => {
    const k = kContiguous && d > 0 ? `k + ${d}u` : 'k';
    const i = index(k, kContiguous || d === 0 ? 'at' : `at + ${d}u`);
    const value = `f32(${name}[${first}${i}])${drop ? ` * ${drop.one(i)}` : ''}`;
    return guardK ? `select(0.0, ${value}, ${k} < ${depth})` : value;
  };
  const scattered = `vec4<f32>(\n    ${[0, 1, 2, 3].map(one).join(',\n    ')})`;
  const whole = guardK ? `select(vec4<f32>(), ${block}, k < ${depth})` : block;
  const value = four ? (vector ? whole : scattered) : one(0);
  const load = `fn load_${name}(k: u32, at: u32) -> ${four ? 'vec4<f32>' : 'f32'} {\n  return ${value};\n}`;
  return { name, outer, kContiguous, vector, load };
}
