/**
 * Room: kernels. Scaled-dot-product attention, fused in both directions: softmax runs online (Milakov & Gimelshein 2018;
 * Dao et al. 2022), so no [seq, seq] buffer exists. A lane holds one query row (one key row for dk and dv) in registers
 * and walks the other side; its addresses are then the same for all lanes, which CPUs and GPUs load once.
 */
import { assemble, mainHead, u32Params } from './assemble.ts';
import { spread, type Binding, type DeviceTraits, type Kernel, type Param } from './kernel.ts';

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
const LEAST = '-1e30';

/**
 * o = softmax(scale·q·kᵀ over seen keys)·v, and lse, the log-sum-exp of each query's scores.
 * Bindings: q, k, v f32 [batch·seq, heads·headDim]; mask i32 [batch, seq], 0 = key not seen; [head_mask]; then
 * o like q and lse f32 [batch, heads, seq]. A query that sees no key gives o = 0 and lse = 0.
 */
export function attentionForward(spec: AttentionSpec, traits: DeviceTraits): Kernel {
  const layout = layoutOf(spec, traits);
  const { chunks } = layout;
  const block = chunks <= 8 ? 4 : 2;
  const keys = range(block);
  const body = `${head(spec, layout, 'o', ['lse[(b * p.heads + h) * p.seq + lane_row] = 0.0;'])}
${each(chunks, (c) => `  let q${c} = q[at + ${c}u] * (p.scale * ${LOG2E});\n  var o${c} = V(0.0);`)}
  var most = ${LEAST};
  var total = 0.0;
  let end = ${spec.causal ? `min(p.seq, (tile + 1u) * ${layout.lanes}u)` : 'p.seq'};
  for (var key = 0u; key < end; key += ${block}u) {
${keys.map((j) => `    let key${j} = ${j === 0 ? 'key' : `min(key + ${j}u, p.seq - 1u)`};`).join('\n')}
${keys.map((j) => `    let in${j} = mask[b * p.seq + key${j}] != 0${j === 0 ? '' : ` && key + ${j}u < end`};`).join('\n')}
    if (!(${keys.map((j) => `in${j}`).join(' || ')})) { continue; }
${keys
  .map(
    (j) => `    let at${j} = (b * p.seq + key${j}) * p.row_units + h * ${chunks}u;
    let seen${j} = in${j}${spec.causal ? ` && key${j} <= lane_row` : ''};
    let s${j} = select(${LEAST}, ${dot(
      chunks,
      (c) => `q${c}`,
      (c) => `k[at${j} + ${c}u]`,
    )}, seen${j});`,
  )
  .join('\n')}
    let peak = max(most, ${maxOf(keys.map((j) => `s${j}`))});
    let shrink = exp2(most - peak);
${keys.map((j) => `    let w${j} = select(0.0, exp2(s${j} - peak), seen${j});`).join('\n')}
    total = total * shrink + (${keys.map((j) => `w${j}`).join(' + ')});
${each(chunks, (c) => `    o${c} = o${c} * shrink + (${keys.map((j) => `v[at${j} + ${c}u] * w${j}`).join(' + ')});`)}
    most = peak;
  }
  if (!owner) { return; }
  let inverse = select(0.0, 1.0 / total, total > 0.0);
${each(chunks, (c) => `  o[at + ${c}u] = o${c} * inverse;`)}
  lse[(b * p.heads + h) * p.seq + lane_row] = select(0.0, (most + log2(total)) * ${LN2}, total > 0.0);
}`;
  const { elements, pairs } = sizes(spec);
  return finish('attention_forward', spec, layout, ['q', 'k', 'v'], ['o', 'lse'], body, {
    flops: pairs * (4 * spec.headDim + 5),
    bytes: 4 * (4 * elements + spec.batch * spec.seq * (1 + spec.heads)),
  });
}

/**
 * The gradient of q, and delta = Σ_d do·o of each query, which the gradients of k and v need too.
 * Bindings: q, k, v, o, lse, do, mask, [head_mask] as in the forward kernel; then dq like q and delta like lse.
 */
export function attentionBackwardQ(spec: AttentionSpec, traits: DeviceTraits): Kernel {
  const layout = layoutOf(spec, traits);
  const { chunks } = layout;
  const body = `${head(spec, layout, 'dq', ['delta[(b * p.heads + h) * p.seq + lane_row] = 0.0;'])}
${each(chunks, (c) => `  let q${c} = q[at + ${c}u] * (p.scale * ${LOG2E});\n  let do${c} = dout[at + ${c}u];\n  var dq${c} = V(0.0);`)}
  let own_delta = ${dot(
    chunks,
    (c) => `do${c}`,
    (c) => `o[at + ${c}u]`,
  )};
  let own_lse = lse[(b * p.heads + h) * p.seq + lane_row] * ${LOG2E};
  let end = ${spec.causal ? `min(p.seq, (tile + 1u) * ${layout.lanes}u)` : 'p.seq'};
  for (var key = 0u; key < end; key++) {
    if (mask[b * p.seq + key] == 0) { continue; }
    let other = (b * p.seq + key) * p.row_units + h * ${chunks}u;
${each(chunks, (c) => `    let k${c} = k[other + ${c}u];`)}
    let w = exp2(${dot(
      chunks,
      (c) => `q${c}`,
      (c) => `k${c}`,
    )} - own_lse);
    let ds = ${spec.causal ? 'select(0.0, w, key <= lane_row)' : 'w'} * (${dot(
      chunks,
      (c) => `do${c}`,
      (c) => `v[other + ${c}u]`,
    )} - own_delta);
${each(chunks, (c) => `    dq${c} += k${c} * ds;`)}
  }
  if (!owner) { return; }
${each(chunks, (c) => `  dq[at + ${c}u] = dq${c} * p.scale;`)}
  delta[(b * p.heads + h) * p.seq + lane_row] = own_delta;
}`;
  const { elements, pairs } = sizes(spec);
  return finish('attention_backward_q', spec, layout, ['q', 'k', 'v', 'o', 'lse', 'dout'], ['dq', 'delta'], body, {
    flops: pairs * (6 * spec.headDim + 4),
    bytes: 4 * (6 * elements + spec.batch * spec.seq * (1 + 2 * spec.heads)),
  });
}

/**
 * The gradients of k and v. Bindings: q, k, v, lse, do, delta (of `attentionBackwardQ`), mask, [head_mask];
 * then dk and dv like k.
 */
export function attentionBackwardKV(spec: AttentionSpec, traits: DeviceTraits): Kernel {
  const layout = layoutOf(spec, traits);
  const { chunks } = layout;
  const body = `${head(spec, layout, 'dk', each(chunks, (c) => `dv[at + ${c}u] = V(0.0);`).split('\n'))}
${each(chunks, (c) => `  let k${c} = k[at + ${c}u] * (p.scale * ${LOG2E});\n  let v${c} = v[at + ${c}u];\n  var dk${c} = V(0.0);\n  var dv${c} = V(0.0);`)}
  let end = select(0u, p.seq, mask[b * p.seq + lane_row] != 0);
  for (var query = ${spec.causal ? `tile * ${layout.lanes}u` : '0u'}; query < end; query++) {
    let other = (b * p.seq + query) * p.row_units + h * ${chunks}u;
    let entry = (b * p.heads + h) * p.seq + query;
${each(chunks, (c) => `    let q${c} = q[other + ${c}u];\n    let do${c} = dout[other + ${c}u];`)}
    let every = exp2(${dot(
      chunks,
      (c) => `k${c}`,
      (c) => `q${c}`,
    )} - lse[entry] * ${LOG2E});
    let w = ${spec.causal ? 'select(0.0, every, lane_row <= query)' : 'every'};
    let ds = w * (${dot(
      chunks,
      (c) => `v${c}`,
      (c) => `do${c}`,
    )} - delta[entry]);
${each(chunks, (c) => `    dk${c} += q${c} * ds;\n    dv${c} += do${c} * w;`)}
  }
  if (!owner) { return; }
${each(chunks, (c) => `  dk[at + ${c}u] = dk${c} * p.scale;\n  dv[at + ${c}u] = dv${c};`)}
}`;
  const { elements, pairs } = sizes(spec);
  return finish('attention_backward_kv', spec, layout, ['q', 'k', 'v', 'lse', 'dout', 'delta'], ['dk', 'dv'], body, {
    flops: pairs * (8 * spec.headDim + 4),
    bytes: 4 * (6 * elements + spec.batch * spec.seq * (1 + 2 * spec.heads)),
  });
}

const LOG2E = '1.4426950408889634';
const LN2 = '0.6931471805599453';

interface Layout {
  readonly vector: boolean;
  /** Registers of type V that hold one row of a head. */
  readonly chunks: number;
  readonly lanes: number;
  /** Workgroups along the sequence. */
  readonly tiles: number;
}

function layoutOf({ headDim, seq }: AttentionSpec, { software }: DeviceTraits): Layout {
  const vector = headDim % 4 === 0;
  const lanes = software ? 16 : 64;
  return { vector, chunks: vector ? headDim / 4 : headDim, lanes, tiles: Math.ceil(seq / lanes) };
}

/** Batch b, head h and the lane's own row of the sequence; heads masked to 0 are written as zeros and left. */
function head(
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

function finish(
  name: string,
  spec: AttentionSpec,
  { vector, chunks, tiles }: Layout,
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
  return assemble({
    name,
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
function sizes({ batch, seq, heads, headDim, causal }: AttentionSpec): { elements: number; pairs: number } {
  const perHead = causal ? (seq * (seq + 1)) / 2 : seq * seq;
  return { elements: batch * seq * heads * headDim, pairs: batch * heads * perHead };
}

function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

function each(n: number, line: (i: number) => string): string {
  return range(n).map(line).join('\n');
}

/** Σ a_c·b_c over the components of `chunks` registers. */
function dot(chunks: number, a: (c: number) => string, b: (c: number) => string): string {
  return `hsum(${range(chunks)
    .map((c) => `${a(c)} * ${b(c)}`)
    .join(' + ')})`;
}

function maxOf(names: readonly string[]): string {
  return names.reduce((a, b) => `max(${a}, ${b})`);
}
