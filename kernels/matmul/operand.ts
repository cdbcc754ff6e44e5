/** Room: kernels/matmul. How an operand is read: one WGSL function `load_<name>(k, at)`, `at` being its row or column of C. */
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

/** What a skeleton wants of an operand. */
export interface LoadOptions {
  /** Load four neighbours along the contiguous dimension (a vec4<f32>), from a multiple of four on, or one f32. */
  readonly four: boolean;
  /** Give zeros where k is past the end; else the caller keeps k within. Rows and columns past the end repeat the last. */
  readonly guardK: boolean;
}

export function operandA({ m, terms, batch }: MatmulSpec, t: number, options: LoadOptions): Operand {
  const { k, a } = terms[t] as MatmulTerm;
  const kContiguous = a === 'mk';
  return operand(`a${t}`, 'm', t, kContiguous, kContiguous ? k : m, batch?.each[2 * t] === true, options);
}

export function operandB({ n, terms, batch }: MatmulSpec, t: number, options: LoadOptions): Operand {
  const { k, b } = terms[t] as MatmulTerm;
  const kContiguous = b === 'nk';
  return operand(`b${t}`, 'n', t, kContiguous, kContiguous ? k : n, batch?.each[2 * t + 1] === true, options);
}

function operand(
  name: string,
  outer: 'm' | 'n',
  t: number,
  kContiguous: boolean,
  contiguous: number,
  each: boolean,
  { four, guardK }: LoadOptions,
): Operand {
  const vector = four && contiguous % 4 === 0;
  const depth = `p.k${t}`;
  const within = (k: string) => (guardK ? `min(${k}, ${depth} - 1u)` : k);
  const clamp = (at: string) => `min(${at}, p.${outer} - 1u)`;
  const first = each ? `batch * (${depth} * p.${outer}) + ` : '';
  const firstQuad = each ? `batch * (${depth} * p.${outer} / 4u) + ` : '';
  const element = (k: string, at: string) =>
    kContiguous
      ? `${name}[${first}${clamp(at)} * ${depth} + ${within(k)}]`
      : `${name}[${first}${within(k)} * p.${outer} + ${clamp(at)}]`;
  const quad = kContiguous
    ? `${name}[${firstQuad}${clamp('at')} * (${depth} / 4u) + ${within('k')} / 4u]`
    : `${name}[${firstQuad}${within('k')} * (p.${outer} / 4u) + min(at / 4u, p.${outer} / 4u - 1u)]`;
  const one = (d: number) => {
    const k = kContiguous && d > 0 ? `k + ${d}u` : 'k';
    const value = `f32(${element(k, kContiguous || d === 0 ? 'at' : `at + ${d}u`)})`;
    return guardK ? `select(0.0, ${value}, ${k} < ${depth})` : value;
  };
  const scattered = `vec4<f32>(\n    ${[0, 1, 2, 3].map(one).join(',\n    ')})`;
  const whole = guardK ? `select(vec4<f32>(), vec4<f32>(${quad}), k < ${depth})` : `vec4<f32>(${quad})`;
  const value = four ? (vector ? whole : scattered) : one(0);
  const load = `fn load_${name}(k: u32, at: u32) -> ${four ? 'vec4<f32>' : 'f32'} {\n  return ${value};\n}`;
  return { name, outer, kContiguous, vector, load };
}
