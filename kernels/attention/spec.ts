/** Room: kernels/attention. What an attention is asked to be, and what its kernels have in common around their bodies. */
import { assemble, u32Params } from '../assemble.ts';
import { spread, type Binding, type Kernel, type Param } from '../kernel.ts';

export interface AttentionSpec {
  readonly batch: number;
  readonly seq: number;
  readonly heads: number;
  /** Width of a head; at most 128. */
  readonly headDim: number;
  /** Whether a query sees only keys at or before its own position. */
  readonly causal: boolean;
  /** Multiplies the scores, usually 1/√headDim. */
  readonly scale: number;
  /** Whether the binding `head_mask` (f32 [heads]) is there: heads whose entry is exactly 0 are skipped and give 0. */
  readonly headMask: boolean;
}

/** A score no real one falls below; exp of differences with it is 0. */
export const LEAST = '-1e30';
export const LOG2E = '1.4426950408889634';
export const LN2 = '0.6931471805599453';

export interface AttentionParts {
  readonly name: string;
  /** Bindings before the masks and after them. `lse` and `delta` are [batch, heads, seq], the others rows of heads. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly body: string;
  /** WGSL extensions. */
  readonly enables?: readonly string[];
  /** Rows of the sequence that one workgroup computes. */
  readonly rows: number;
  /** Arithmetic of one query and key. */
  readonly flopsPerPair: number;
}

/**
 * Bindings, uniforms and dispatch around a body. The uniforms: batch, heads, seq, scale, `units` of a head's row (four
 * elements where headDim is a multiple of 4), `row_units` of all heads, `rows`, and `tiles`, the workgroups along seq.
 */
export function finish(spec: AttentionSpec, parts: AttentionParts): Kernel {
  const { batch, heads, seq, headDim, causal, scale } = spec;
  const { name, inputs, outputs, body, enables, rows, flopsPerPair } = parts;
  const vector = isVector(spec);
  const units = unitsOf(spec);
  const tiles = Math.ceil(seq / rows);
  const wide = [...inputs, ...outputs].filter((binding) => binding !== 'lse' && binding !== 'delta');
  const perQuery = inputs.length + outputs.length - wide.length;
  const f32 =
    (role: 'in' | 'out') =>
    (binding: string): Binding => ({ name: binding, dtype: 'f32', role });
  const params: Param[] = [
    ...u32Params({ batch, heads, seq, units, row_units: heads * units, tiles, rows }),
    { name: 'scale', type: 'f32', value: scale },
  ];
  return assemble({
    name,
    ...(enables && { enables }),
    bindings: [
      ...inputs.map(f32('in')),
      { name: 'mask', dtype: 'i32', role: 'in' },
      ...(spec.headMask ? ['head_mask'] : []).map(f32('in')),
      ...outputs.map(f32('out')),
    ],
    params,
    body,
    vector,
    vectorBindings: vector ? wide : [],
    workgroups: spread(batch * heads * tiles),
    flops: flopsPerPair * batch * heads * (causal ? (seq * (seq + 1)) / 2 : seq * seq),
    bytes: 4 * batch * seq * (wide.length * heads * headDim + perQuery * heads + 1),
  });
}

function isVector({ headDim }: AttentionSpec): boolean {
  return headDim % 4 === 0;
}

/** Registers of type V that hold one row of a head. */
export function unitsOf(spec: AttentionSpec): number {
  return isVector(spec) ? spec.headDim / 4 : spec.headDim;
}

/** Batch b and head h of a workgroup, its number `tile` along the sequence, and `base`, the unit where row 0 of b and h starts. */
export const WHERE = `  let tile = group % p.tiles;
  let h = group / p.tiles % p.heads;
  let b = group / p.tiles / p.heads;
  if (b >= p.batch) { return; }
  let base = b * p.seq * p.row_units + h * p.units;
  let entry = (b * p.heads + h) * p.seq;`;

export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

/** One text per number below n, on lines of their own. */
export function each(n: number, text: (i: number) => string): string {
  return range(n).map(text).join('\n');
}
