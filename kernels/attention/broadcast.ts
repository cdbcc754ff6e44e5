/**
 * Room: kernels/attention. Attention for CPU rasterisers, where loads cost more than arithmetic: a workgroup is one subgroup,
 * its lanes hold panels of keys and values (queries and gradients for dk and dv), and rows walk past them (see panel.ts).
 */
import type { DeviceTraits, Kernel } from '../kernel.ts';
import { each, range } from '../text.ts';
import {
  across,
  along,
  head,
  accumulatePV,
  ownUnits,
  perGroup,
  rowSums,
  scores,
  walk,
  walkFor,
  type Walk,
} from './panel.ts';
import { logSumExp, onlineSoftmax, reciprocal, weightOf, type SoftmaxState } from './online-softmax.ts';
import {
  beginOfKeys,
  eachQueryHead,
  finish,
  KEYS,
  LEAST,
  LOG2E,
  PAST_SEGMENT,
  QUERIES,
  segmentAt,
  type AttentionSpec,
} from './spec.ts';

/**
 * A row that saw no key: its head is skipped, or all its scores are those of unseen keys. What such keys weigh while there is no other,
 * `alpha` takes out again.
 */
const NO_KEY = '(l == 0.0 || state.x <= -1e29)';

/** See `attentionForward`. */
export function forwardByBroadcast(spec: AttentionSpec, traits: DeviceTraits, rows: number): Kernel {
  const tile = walkFor(spec, { own: QUERIES, panel: 4096, sums: 1, state: 8, rows }, traits);
  const { lanes, groups, maxRows } = tile;
  const o = rowSums(tile, 'o');
  const { find, begin } = beginOfKeys(spec, 'first');
  const state = `states[i * ${lanes}u + lane]`;
  const inWorkgroupMemory: SoftmaxState = { l: 'state.y', store: (m, l) => `${state} = vec2(${m}, ${l});` };
  const body = `${o.declaration}
// Per row and lane: m, which all lanes share, and the lane's part of l.
var<workgroup> states: array<vec2<f32>, ${maxRows * lanes}>;
${head(spec, tile)}
${endOfKeys(spec, tile)}
${find}for (var start = ${begin}; start < end; start += ${tile.keys}u) {
${across(tile, 'keys', 'k')}
${along(tile, 'values', 'v')}
${perGroup(tile, 'bias', `select(${LEAST}, 0.0, other < end && mask[b * p.keys + near] != 0)`)}${segments(spec, tile)}
${walk(
  tile,
  `${ownUnits(tile, 'q')}${ownSegment(spec)}
${scores(tile, 's', 'q', 'keys')}
${each(groups, (g) => `s_${g} = ${ifBefore(spec, tile, g, LEAST, `s_${g} * (p.scale * ${LOG2E}) + bias[${g}]`)};`)}
let state = ${state};
let m = select(state.x, ${LEAST}, start == ${begin});
${onlineSoftmax(inWorkgroupMemory, {
  max: `subgroupMax(${fold(groups, 's', (a, b) => `max(${a}, ${b})`)})`,
  weights: each(groups, (g) => `s_${g} = ${weightOf(`s_${g}`)};`),
  sum: fold(groups, 's', (a, b) => `(${a} + ${b})`),
})}
${o.fetch(' * alpha')}
${accumulatePV(tile, 'o', 's', 'values')}
${o.keep}`,
  fromDiagonal(spec),
)}
}
${walk(
  tile,
  `let state = ${state};
let l = subgroupAdd(state.y);
${o.store(`sum * ${reciprocal('l', '1.0', NO_KEY)}`)}
if (lane == 0u) { lse[entry + row] = ${logSumExp('state.x', 'l', NO_KEY)}; }`,
)}
}`;
  return finish(spec, 'forward', { body, rows: tile.rows, enables: ['subgroups'] });
}

/** See `attentionBackwardQ`. */
export function backwardQByBroadcast(spec: AttentionSpec, traits: DeviceTraits, rows: number): Kernel {
  const tile = walkFor(spec, { own: QUERIES, panel: 2048, sums: 1, state: 4, rows }, traits);
  const { lanes, groups, chunks, maxRows } = tile;
  const { find, begin } = beginOfKeys(spec, 'first');
  const dq = rowSums(tile, 'dq');
  const gradient = (g: number) => {
    const value = `exp2(s_${g} * (p.scale * ${LOG2E}) - own_lse) * (g_${g} - own_delta)`;
    return `g_${g} = select(0.0, ${ifBefore(spec, tile, g, '0.0', value)}, seen[${g}] != 0.0);`;
  };
  const product = (c: number) => `select(V(0.0), dout_${c} * o_${c}, lane + ${c * lanes}u < p.units)`;
  const body = `${dq.declaration}
var<workgroup> deltas: array<f32, ${maxRows * lanes}>;
${head(spec, tile)}
${endOfKeys(spec, tile)}
${walk(
  tile,
  `${ownUnits(tile, 'dout')}
${ownUnits(tile, 'o')}
let own_delta = subgroupAdd(hsum(${range(chunks).map(product).join(' + ')}));
deltas[i * ${lanes}u + lane] = own_delta;
if (lane == 0u) { delta[entry + row] = own_delta; }`,
)}
${find}for (var start = ${begin}; start < end; start += ${tile.keys}u) {
${across(tile, 'keys', 'k')}
${across(tile, 'values', 'v')}
${along(tile, 'keys_along', 'k')}
${perGroup(tile, 'seen', 'select(0.0, 1.0, other < end && mask[b * p.keys + near] != 0)')}${segments(spec, tile)}
${walk(
  tile,
  `${ownUnits(tile, 'q')}${ownSegment(spec)}
${ownUnits(tile, 'dout')}
let own_lse = lse[entry + row] * ${LOG2E};
let own_delta = deltas[i * ${lanes}u + lane];
${scores(tile, 's', 'q', 'keys')}
${scores(tile, 'g', 'dout', 'values')}
${each(groups, gradient)}
${dq.fetch()}
${accumulatePV(tile, 'dq', 'g', 'keys_along')}
${dq.keep}`,
  fromDiagonal(spec),
)}
}
${walk(tile, dq.store('sum * p.scale'))}
}`;
  return finish(spec, 'backward_q', { body, rows: tile.rows, enables: ['subgroups'] });
}

/** See `attentionBackwardKV`. */
export function backwardKVByBroadcast(spec: AttentionSpec, traits: DeviceTraits, rows: number): Kernel {
  const tile = walkFor(spec, { own: KEYS, panel: 2048, sums: 2, state: 0, rows }, traits);
  const { groups } = tile;
  const dk = rowSums(tile, 'dk');
  const dv = rowSums(tile, 'dv');
  const gradient = (g: number) => {
    const weight = `exp2(s_${g} * (p.scale * ${LOG2E}) - lses[${g}])`;
    return `s_${g} = ${ifAfter(spec, tile, g, weight)}; g_${g} = s_${g} * (g_${g} - deltas[${g}]);`;
  };
  const rowOfKeys = `${ownUnits(tile, 'k')}${ownSegment(spec)}
${ownUnits(tile, 'v')}
${scores(tile, 's', 'k', 'queries')}
${scores(tile, 'g', 'v', 'gradients')}
${each(groups, gradient)}
${dv.fetch()}
${accumulatePV(tile, 'dv', 's', 'gradients_along')}
${dv.keep}
${dk.fetch()}
${accumulatePV(tile, 'dk', 'g', 'queries_along')}
${dk.keep}`;
  // The sums of a key that is not seen may be anything.
  const ifSeen = (value: string) => `select(V(0.0), ${value}, mask[b * p.keys + row] != 0)`;
  const body = `${dk.declaration}
${dv.declaration}
${head(spec, tile)}
${endOfQueries(spec, tile)}
${eachQueryHead(
  spec,
  `for (var start = ${spec.causal ? 'max(first, shift) - shift' : '0u'}; start < end; start += ${tile.keys}u) {
${across(tile, 'queries', 'q')}
${across(tile, 'gradients', 'dout')}
${along(tile, 'queries_along', 'q')}
${along(tile, 'gradients_along', 'dout')}
${perGroup(tile, 'lses', `select(1e30, lse[entry + near] * ${LOG2E}, other < p.seq)`)}
${perGroup(tile, 'deltas', 'delta[entry + near]')}${segments(spec, tile)}
${walk(tile, rowOfKeys, toDiagonal(spec, tile))}
}`,
)}
${walk(
  tile,
  `${dk.store(ifSeen('sum * p.scale'))}
${dv.store(ifSeen('sum'))}`,
)}
}`;
  return finish(spec, 'backward_kv', { body, rows: tile.rows, enables: ['subgroups'] });
}

/** `end`: past the last key any query of the tile sees; 0 for a skipped head. */
function endOfKeys(spec: AttentionSpec, { lanes }: Walk): string {
  return `let reach = ${spec.causal ? 'min(p.keys, shift + first + rows)' : 'p.keys'};
var own_end = 0u;
for (var key = lane; key < reach; key += ${lanes}u) {
  if (mask[b * p.keys + key] != 0${spec.headMask ? ' && head_mask[h] != 0.0' : ''}) { own_end = key + 1u; }
}
let end = subgroupMax(own_end);`;
}

/** `end`: past the last query that sees any key of the tile, as the mask tells. */
function endOfQueries({ segmented }: AttentionSpec, { lanes }: Walk): string {
  return `var own_end = 0u;
for (var i = lane; i < rows; i += ${lanes}u) {
  if (mask[b * p.keys + first + i] != 0) { own_end = ${segmented ? 'first + i + 1u' : 'p.seq'}; }
}
${segmented ? `var end = subgroupMax(own_end);\n${PAST_SEGMENT}` : 'let end = subgroupMax(own_end);'}`;
}

/** Segments of the other side's rows in a panel, and of the row that walks past it; nothing where there are none. */
function segments(spec: AttentionSpec, tile: Walk): string {
  return spec.segmented ? `\n${perGroup(tile, 'segments', `f32(${segmentAt('near')})`)}` : '';
}
function ownSegment({ segmented }: AttentionSpec): string {
  return segmented ? `\nlet own_segment = f32(${segmentAt('row')});` : '';
}

/** The queries of the tile that see any key of the panel. */
function fromDiagonal({ causal }: AttentionSpec): { from?: string } {
  return causal ? { from: 'max(start, shift + first) - shift - first' } : {};
}

/** The keys of the tile that any query of the panel sees. */
function toDiagonal({ causal }: AttentionSpec, { keys }: Walk): { to?: string } {
  return causal ? { to: `min(rows, shift + start + ${keys}u - first)` } : {};
}

/** `value` where the lane's key of group g is not after the row, and of its segment, else `other`. */
function ifBefore(spec: AttentionSpec, { lanes }: Walk, g: number, other: string, value: string): string {
  return ifPaired(spec, g, other, value, `start + ${g * lanes}u + lane <= shift + row`);
}

/** `value` where the lane's query of group g is not before the row, and of its segment, else 0. */
function ifAfter(spec: AttentionSpec, { lanes }: Walk, g: number, value: string): string {
  return ifPaired(spec, g, '0.0', value, `row <= shift + start + ${g * lanes}u + lane`);
}

function ifPaired(
  { causal, segmented }: AttentionSpec,
  g: number,
  other: string,
  value: string,
  inOrder: string,
): string {
  const conditions = [...(causal ? [inOrder] : []), ...(segmented ? [`segments[${g}] == own_segment`] : [])];
  return conditions.length > 0 ? `select(${other}, ${value}, ${conditions.join(' && ')})` : value;
}

/** NAME_0 … combined as a tree. */
function fold(count: number, name: string, combine: (a: string, b: string) => string): string {
  let terms = range(count).map((i) => `${name}_${i}`);
  while (terms.length > 1) {
    terms = range(Math.ceil(terms.length / 2)).map((i) => {
      const [a, b] = [terms[2 * i]!, terms[2 * i + 1]];
      return b === undefined ? a : combine(a, b);
    });
  }
  return terms[0]!;
}
