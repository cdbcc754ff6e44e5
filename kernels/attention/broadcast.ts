/**
 * Room: kernels/attention. Attention for CPU rasterisers, where a load costs ten multiply-adds and workgroup memory more: a
 * workgroup is one subgroup, a row is loaded once for all its lanes, and every sum stays in registers (see tile.ts).
 */
import type { Kernel } from '../kernel.ts';
import { each, finish, LEAST, LN2, LOG2E, range, type AttentionSpec } from './spec.ts';
import { clear, fromOwners, head, mix, OTHER, scores, store, tileFor, type Tile } from './tile.ts';

/** See `attentionForward`. */
export function forwardByBroadcast(spec: AttentionSpec, subgroupSize: number, tileRows: number): Kernel {
  const tile = tileFor(spec, subgroupSize, tileRows);
  const { lanes, rows, chunks } = tile;
  const softmax = (i: number) => `{
let score = select(${LEAST}, s_${i} * (p.scale * ${LOG2E}), ${seesKey(spec, i)});
let peak = max(most_${i}, subgroupMax(score));
let shrink = exp2(most_${i} - peak);
most_${i} = peak;
s_${i} = select(0.0, exp2(score - peak), score > ${LEAST});
total_${i} = total_${i} * shrink + s_${i};
${range(chunks)
  .map((c) => `o_${i}_${c} *= shrink;`)
  .join(' ')}
}`;
  const lse = `let total = subgroupAdd(totals[i]);
if (lane == 0u) { lse[entry + first + i] = select(0.0, (mosts[i] + log2(total)) * ${LN2}, total > 0.0); }`;
  const body = `${head(tile)}
${endOfKeys(spec, tile)}
${clear(tile, 'o')}
${each(rows, (i) => `var most_${i} = ${LEAST}; var total_${i} = 0.0;`)}
for (var start = 0u; start < end; start += ${lanes}u) {
${OTHER}
let seen = other < end && mask[b * p.seq + near] != 0;
${scores(tile, [{ name: 's', left: 'q', right: 'k' }])}
${each(rows, softmax)}
${mix(tile, [{ name: 'o', weights: 's', other: 'v' }])}
}
var totals = array<f32, ${rows}>(${named('total', rows)});
var mosts = array<f32, ${rows}>(${named('most', rows)});
${store(tile, { o: 'sum * select(0.0, 1.0 / total, total > 0.0)' }, lse)}
}`;
  return finish(spec, {
    name: 'attention_forward',
    inputs: ['q', 'k', 'v'],
    outputs: ['o', 'lse'],
    body,
    enables: ['subgroups'],
    rows,
    flopsPerPair: 4 * spec.headDim + 5,
  });
}

/** See `attentionBackwardQ`. */
export function backwardQByBroadcast(spec: AttentionSpec, subgroupSize: number, tileRows: number): Kernel {
  const tile = tileFor(spec, subgroupSize, tileRows);
  const { lanes, rows } = tile;
  const lse = fromOwners(tile, 'lse', (row) => `lse[entry + ${row}]`);
  const delta = fromOwners(tile, 'delta', (row) => `delta[entry + ${row}]`);
  const gradient = (i: number) =>
    `g_${i} = select(0.0, exp2(s_${i} * (p.scale * ${LOG2E}) - lse_${i}) * (g_${i} - delta_${i}), ${seesKey(spec, i)});`;
  const body = `${head(tile)}
${endOfKeys(spec, tile)}
for (var i = lane; i < min(p.rows, p.seq - first); i += ${lanes}u) {
  let at = base + (first + i) * p.row_units;
  var product = V(0.0);
  for (var d = 0u; d < p.units; d++) { product += dout[at + d] * o[at + d]; }
  delta[entry + first + i] = hsum(product);
}
${lse.load}
${delta.load}
${each(rows, (i) => `let lse_${i} = ${lse.at(i)} * ${LOG2E}; let delta_${i} = ${delta.at(i)};`)}
${clear(tile, 'dq')}
for (var start = 0u; start < end; start += ${lanes}u) {
${OTHER}
let seen = other < end && mask[b * p.seq + near] != 0;
${scores(tile, [
  { name: 's', left: 'q', right: 'k' },
  { name: 'g', left: 'dout', right: 'v' },
])}
${each(rows, gradient)}
${mix(tile, [{ name: 'dq', weights: 'g', other: 'k' }])}
}
${store(tile, { dq: 'sum * p.scale' })}
}`;
  return finish(spec, {
    name: 'attention_backward_q',
    inputs: ['q', 'k', 'v', 'o', 'lse', 'dout'],
    outputs: ['dq', 'delta'],
    body,
    enables: ['subgroups'],
    rows,
    flopsPerPair: 6 * spec.headDim + 5,
  });
}

/** See `attentionBackwardKV`. */
export function backwardKVByBroadcast(spec: AttentionSpec, subgroupSize: number, tileRows: number): Kernel {
  const tile = tileFor(spec, subgroupSize, tileRows);
  const { lanes, rows } = tile;
  const seen = (i: number) => `other < p.seq${spec.causal ? ` && first + ${i}u <= other` : ''}`;
  const gradient = (i: number) =>
    `s_${i} = select(0.0, exp2(s_${i} * (p.scale * ${LOG2E}) - own_lse), ${seen(i)}); g_${i} = s_${i} * (g_${i} - own_delta);`;
  // The sums of a key that is not seen may be anything.
  const ifSeen = (value: string) => `select(V(0.0), ${value}, mask[b * p.seq + first + i] != 0)`;
  const body = `${head(tile)}
var own_end = 0u;
for (var i = lane; i < min(p.rows, p.seq - first); i += ${lanes}u) {
  if (mask[b * p.seq + first + i] != 0${headSeen(spec)}) { own_end = p.seq; }
}
let end = subgroupMax(own_end);
${clear(tile, 'dk')}
${clear(tile, 'dv')}
for (var start = ${spec.causal ? 'first' : '0u'}; start < end; start += ${lanes}u) {
${OTHER}
let own_lse = lse[entry + near] * ${LOG2E};
let own_delta = delta[entry + near];
${scores(tile, [
  { name: 's', left: 'k', right: 'q' },
  { name: 'g', left: 'v', right: 'dout' },
])}
${each(rows, gradient)}
${mix(tile, [
  { name: 'dv', weights: 's', other: 'dout' },
  { name: 'dk', weights: 'g', other: 'q' },
])}
}
${store(tile, { dk: ifSeen('sum * p.scale'), dv: ifSeen('sum') })}
}`;
  return finish(spec, {
    name: 'attention_backward_kv',
    inputs: ['q', 'k', 'v', 'lse', 'dout', 'delta'],
    outputs: ['dk', 'dv'],
    body,
    enables: ['subgroups'],
    rows,
    flopsPerPair: 8 * spec.headDim + 5,
  });
}

/** `end`: past the last key any query of the tile sees; 0 for a skipped head. */
function endOfKeys(spec: AttentionSpec, { lanes, rows }: Tile): string {
  return `var own_end = 0u;
for (var key = lane; key < p.seq; key += ${lanes}u) {
  if (mask[b * p.seq + key] != 0${headSeen(spec)}) { own_end = key + 1u; }
}
let end = min(subgroupMax(own_end), ${spec.causal ? `first + ${rows}u` : 'p.seq'});`;
}

function headSeen({ headMask }: AttentionSpec): string {
  return headMask ? ' && head_mask[h] != 0.0' : '';
}

/** Whether query i of the tile sees the lane's key. */
function seesKey({ causal }: AttentionSpec, i: number): string {
  return `seen${causal ? ` && other <= first + ${i}u` : ''}`;
}

function named(name: string, count: number): string {
  return range(count)
    .map((i) => `${name}_${i}`)
    .join(', ');
}
