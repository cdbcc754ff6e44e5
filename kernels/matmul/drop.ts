/**
 * Room: kernels/matmul. Dropout inside a product: its pattern is drawn where an operand is read, or over one term's product before
 * that is added to the others. Nothing dropped is ever stored.
 */
import type { FragmentInput } from '../fragment.ts';
import type { Param } from '../kernel.ts';
import type { MatmulSpec, MatmulTerm } from './spec.ts';
import { list } from '../text.ts';

/** Inputs that the epilogue of a product with dropout must have. */
export const RANDOM_INPUTS: readonly [seed: FragmentInput, step: FragmentInput] = [
  { name: 'random_seed', dtype: 'u32', inner: 1, count: 1 },
  { name: 'random_step', dtype: 'u32', inner: 1, count: 1 },
];

/** A further one, for terms that drop micro-batches: the place of their first token in the whole batch. */
export const FIRST_TOKEN_INPUT: FragmentInput = { name: 'first_token', dtype: 'u32', inner: 1, count: 1 };

/** Whether any term drops. */
export function drops({ terms }: Pick<MatmulSpec, 'terms'>): boolean {
  return terms.some(({ drop }) => drop !== undefined);
}

/** Rate and stream of each term that drops. */
export function dropParams({ terms, batch }: MatmulSpec): Param[] {
  return terms.flatMap(({ drop }, t): Param[] => {
    if (!drop) return [];
    const { rate, streams } = drop;
    if (streams.length !== (batch?.count ?? 1)) throw new Error(`matmul: ${streams.length} streams of dropout`);
    return [
      { name: `rate${t}`, type: 'f32', value: rate },
      { name: `stream${t}`, type: 'u32', value: batch ? streams : streams[0]! },
    ];
  });
}

/** What an element, or a block of four neighbours that begins at a multiple of four, is multiplied by. */
export interface DropScale {
  one(index: string): string;
  block(number: string): string;
}

/** The scale's WGSL for an operand or the product of term t. */
export function dropScale({ batch, terms }: MatmulSpec, t: number): DropScale {
  const stream = batch ? `p.stream${t}[batch / 4u][batch % 4u]` : `p.stream${t}`;
  const rest = `random_seed[0], random_step[0], ${stream}, p.rate${t}`;
  if (terms[t]?.drop?.fromToken) {
    const from = `first_token[0] * ${rowLength(terms[t], t)} + `;
    return {
      one: (index) => `dropout_one(${from}${index}, ${rest})`,
      block: (number) => `dropout_four(${from}(${number}) * 4u, ${rest})`,
    };
  }
  return {
    one: (index) => `dropout_one(${index}, ${rest})`,
    block: (number) => `dropout_block(${number}, ${rest})`,
  };
}

/** Elements of a token in what a term drops: rows are tokens, as they lie in memory. */
function rowLength({ a, b, drop }: MatmulTerm, t: number): string {
  if (drop?.of === 'product') return 'p.n';
  if (drop?.of === 'a') return a === 'mk' ? `p.k${t}` : 'p.m';
  return b === 'nk' ? `p.k${t}` : 'p.n';
}

/** Where term t drops its product: the WGSL function `drop_<t>(row, col)` for four neighbours of C. */
export function productDrop(spec: MatmulSpec, t: number, vector: boolean): string {
  if (!dropsProduct(spec, t)) return '';
  const scale = dropScale(spec, t);
  const at = (d: number) => scale.one(`row * p.n + col + ${d}u`);
  const four = vector ? scale.block('(row * p.n + col) / 4u') : `vec4(${list(4, at)})`;
  return `fn drop_${t}(row: u32, col: u32) -> vec4<f32> {\n  return ${four};\n}`;
}

/** Whether term t drops its product, which then is summed up apart. */
export function dropsProduct({ terms }: MatmulSpec, t: number): boolean {
  return terms[t]?.drop?.of === 'product';
}
