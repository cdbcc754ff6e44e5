/** Room: kernels/matmul. How an operand is read: one WGSL function `load_<name>(k, at)`, `at` being its row or column of C. */
import { dropScale, productDrop } from './drop.ts';
import type { MatmulSpec } from './spec.ts';

/** An operand of a term, and the text of its load function. */
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

/** Operand A or B of term t. */
export function operandOf(spec: MatmulSpec, t: number, side: 'a' | 'b', { four, guardK }: LoadOptions): Operand {
  const term = spec.terms[t]!;
  const name = `${side}${t}`;
  const outer = side === 'a' ? 'm' : 'n';
  const kContiguous = term[side] === (side === 'a' ? 'mk' : 'nk');
  const contiguous = kContiguous ? term.k : spec[outer];
  const each = spec.batch?.each[2 * t + (side === 'a' ? 0 : 1)];
  const drop = term.drop?.of === side ? dropScale(spec, t) : undefined;
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

/** The load functions of operands, and those of dropped products. */
export function operandFunctions(spec: MatmulSpec, operands: readonly Operand[], vector: boolean): string {
  return [...operands.map((o) => o.load), ...spec.terms.map((_, t) => productDrop(spec, t, vector))].join('\n');
}

/** Those to be declared as arrays of vec4. */
export function vectorNames(operands: readonly Operand[]): string[] {
  return operands.filter((o) => o.vector).map((o) => o.name);
}
