/** Room: kernels. What the attention kernels have in common: bindings, which rows a workgroup has, text snippets. */
import { assemble, mainHead, u32Params } from '../assemble.ts';
import { spread, type Binding, type DeviceTraits, type Kernel, type Param } from '../kernel.ts';

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

export interface Layout {
  readonly vector: boolean;
  /** Registers of type V that hold one row of a head. */
  readonly chunks: number;
  readonly lanes: number;
  /** Workgroups along the sequence. */
  readonly tiles: number;
  /** Whether a workgroup is one subgroup and the kernel uses subgroup operations. */
  readonly subgroup: boolean;
}

/** @param subgroup lanes where a workgroup is to be one subgroup */
export function layoutOf({ headDim, seq }: AttentionSpec, { software }: DeviceTraits, subgroup?: number): Layout {
  const vector = headDim % 4 === 0;
  const lanes = subgroup ?? (software ? 16 : 64);
  return {
    vector,
    chunks: vector ? headDim / 4 : headDim,
    lanes,
    tiles: Math.ceil(seq / lanes),
    subgroup: subgroup !== undefined,
  };
}

/** Batch b, head h and the lane's own row of the sequence; heads masked to 0 are written as zeros and left. */
export function head(
  { headMask }: AttentionSpec,
  { chunks, lanes }: Layout,
  zeroed: string,
  zeroLines: readonly string[],
): string {
  const skip = `  if (head_mask[h] == 0.0) {
    if (owner) {
${each(chunks, (c) => `      ${zeroed}[at + ${c}u] = V(0.0);`)}
${zeroLines.map((line) => `      ${line}`).join('\n')}
    }
    return;
  }`;
  return `${mainHead(lanes)}
  let tile = group % p.tiles;
  let h = group / p.tiles % p.heads;
  let b = group / p.tiles / p.heads;
  if (b >= p.batch) { return; }
  let owner = tile * ${lanes}u + lane < p.seq;
  let lane_row = min(tile * ${lanes}u + lane, p.seq - 1u);
  let at = (b * p.seq + lane_row) * p.row_units + h * ${chunks}u;
${headMask ? skip : ''}`;
}

export function finish(
  name: string,
  spec: AttentionSpec,
  { vector, chunks, tiles, subgroup }: Layout,
  inputs: readonly string[],
  outputs: readonly string[],
  body: string,
  cost: { readonly flops: number; readonly bytes: number },
): Kernel {
  const { batch, heads, seq, scale } = spec;
  const perQuery = new Set(['lse', 'delta']);
  const f32 =
    (role: 'in' | 'out') =>
    (binding: string): Binding => ({ name: binding, dtype: 'f32', role });
  const bindings: Binding[] = [
    ...inputs.map(f32('in')),
    { name: 'mask', dtype: 'i32', role: 'in' },
    ...(spec.headMask ? ['head_mask'] : []).map(f32('in')),
    ...outputs.map(f32('out')),
  ];
  const params: Param[] = [
    ...u32Params({ batch, heads, seq, row_units: heads * chunks, tiles }),
    { name: 'scale', type: 'f32', value: scale },
  ];
  const vectorBindings = vector ? [...inputs, ...outputs].filter((binding) => !perQuery.has(binding)) : [];
  const enables = subgroup ? ['subgroups'] : [];
  return assemble({
    name,
    enables,
    bindings,
    params,
    body,
    vector,
    vectorBindings,
    workgroups: spread(batch * heads * tiles),
    ...cost,
  });
}

/** Elements of one [batch·seq, heads·headDim] tensor, and (query, key) pairs that may see each other. */
export function sizes({ batch, seq, heads, headDim, causal }: AttentionSpec): { elements: number; pairs: number } {
  const perHead = causal ? (seq * (seq + 1)) / 2 : seq * seq;
  return { elements: batch * seq * heads * headDim, pairs: batch * heads * perHead };
}

export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

export function each(n: number, line: (i: number) => string): string {
  return range(n).map(line).join('\n');
}

/** Σ a_c·b_c over the components of `chunks` registers. */
export function dot(chunks: number, a: (c: number) => string, b: (c: number) => string): string {
  return `hsum(${range(chunks)
    .map((c) => `${a(c)} * ${b(c)}`)
    .join(' + ')})`;
}

export function maxOf(names: readonly string[]): string {
  return names.reduce((a, b) => `max(${a}, ${b})`);
}
