/**
 * Room: kernels/attention. Portable attention: a lane holds one query row (one key row for dk and dv) in registers and walks
 * the other side, whose addresses are then the same for all lanes, which GPUs load once.
 */
import { mainHead } from '../assemble.ts';
import type { Kernel } from '../kernel.ts';
import { each, range } from '../text.ts';
import { IN_REGISTERS, logSumExp, onlineSoftmax, reciprocal, weightOf } from './online-softmax.ts';
import {
  beginOfKeys,
  eachQueryHead,
  finish,
  KEYS,
  LEAST,
  LOG2E,
  PAST_SEGMENT,
  QUERIES,
  seenKey,
  segmentAt,
  unitsOf,
  unseenKey,
  where,
  type AttentionSpec,
  type Side,
} from './spec.ts';

/** Keys per step of the forward kernel: the sums are rescaled once per step. */
const STEP = 4;

/** See `attentionForward`. @param workgroupSize of a workgroup, each with a row of its own */
export function forwardByRows(spec: AttentionSpec, workgroupSize: number): Kernel {
  const units = unitsOf(spec);
  const keys = range(STEP);
  const { find, begin } = beginOfKeys(spec, `tile * ${workgroupSize}u`);
  const score = (j: number) => `let near_${j} = min(key + ${j}u, p.keys - 1u);
let at_${j} = kv_base + near_${j} * p.kv_row_units;
let seen_${j} = key + ${j}u < end && ${seenKey(spec, `near_${j}`, 'row')}${spec.causal ? ` && key + ${j}u <= shift + row` : ''};
let s_${j} = select(${LEAST}, ${dot(units, 'q', (c) => `k[at_${j} + ${c}u]`)}, seen_${j});`;
  const body = `${head(QUERIES, spec, workgroupSize)}
${skipMasked(spec, 'o', 'lse')}
${each(units, (c) => `let q_${c} = q[at + ${c}u] * (p.scale * ${LOG2E}); var o_${c} = V(0.0);`)}
${IN_REGISTERS.declaration}
let end = ${endOfKeys(spec, workgroupSize)};
${find}for (var key = ${begin}; key < end; key += ${STEP}u) {
${each(STEP, score)}
${onlineSoftmax(IN_REGISTERS, {
  max: keys.map((j) => `s_${j}`).reduce((a, b) => `max(${a}, ${b})`),
  weights: each(STEP, (j) => `let w_${j} = ${weightOf(`s_${j}`, `!seen_${j}`)};`),
  sum: `(${keys.map((j) => `w_${j}`).join(' + ')})`,
})}
${each(units, (c) => `o_${c} = o_${c} * alpha + (${keys.map((j) => `v[at_${j} + ${c}u] * w_${j}`).join(' + ')});`)}
}
if (!owner) { return; }
let inverse = ${reciprocal('l')};
${each(units, (c) => `o[at + ${c}u] = o_${c} * inverse;`)}
lse[entry + row] = ${logSumExp('m', 'l')};
}`;
  return finish(spec, 'forward', { body, rows: workgroupSize });
}

/** See `attentionBackwardQ`. */
export function backwardQByRows(spec: AttentionSpec, workgroupSize: number): Kernel {
  const units = unitsOf(spec);
  const { find, begin } = beginOfKeys(spec, `tile * ${workgroupSize}u`);
  const body = `${head(QUERIES, spec, workgroupSize)}
${skipMasked(spec, 'dq', 'delta')}
${each(units, (c) => `let q_${c} = q[at + ${c}u] * (p.scale * ${LOG2E}); let dout_${c} = dout[at + ${c}u]; var dq_${c} = V(0.0);`)}
let own_delta = ${dot(units, 'dout', (c) => `o[at + ${c}u]`)};
let own_lse = lse[entry + row] * ${LOG2E};
let end = ${endOfKeys(spec, workgroupSize)};
${find}for (var key = ${begin}; key < end; key++) {
  if (${unseenKey(spec, 'key', 'row')}) { continue; }
  let other = kv_base + key * p.kv_row_units;
${each(units, (c) => `let k_${c} = k[other + ${c}u];`)}
  let w = exp2(${dot(units, 'q', (c) => `k_${c}`)} - own_lse);
  let g = w * (${dot(units, 'dout', (c) => `v[other + ${c}u]`)} - own_delta);
  let ds = ${spec.causal ? 'select(0.0, g, key <= shift + row)' : 'g'};
${each(units, (c) => `dq_${c} += k_${c} * ds;`)}
}
if (!owner) { return; }
${each(units, (c) => `dq[at + ${c}u] = dq_${c} * p.scale;`)}
delta[entry + row] = own_delta;
}`;
  return finish(spec, 'backward_q', { body, rows: workgroupSize });
}

/** See `attentionBackwardKV`. */
export function backwardKVByRows(spec: AttentionSpec, workgroupSize: number): Kernel {
  const units = unitsOf(spec);
  const body = `${head(KEYS, spec, workgroupSize)}
${each(units, (c) => `let k_${c} = k[at + ${c}u] * (p.scale * ${LOG2E}); let v_${c} = v[at + ${c}u]; var dk_${c} = V(0.0); var dv_${c} = V(0.0);`)}
${spec.segmented ? `var end = select(0u, row + 1u, ${segmentAt('row')} != 0);\n${PAST_SEGMENT}` : `let end = select(0u, p.seq, ${segmentAt('row')} != 0);`}
${eachQueryHead(
  spec,
  `for (var query = ${spec.causal ? `max(tile * ${workgroupSize}u, shift) - shift` : '0u'}; query < end; query++) {
${spec.segmented ? `if (${segmentAt('query')} != ${segmentAt('row')}) { continue; }\n` : ''}  let other = base + query * p.row_units;
${each(units, (c) => `let q_${c} = q[other + ${c}u]; let dout_${c} = dout[other + ${c}u];`)}
  let every = exp2(${dot(units, 'k', (c) => `q_${c}`)} - lse[entry + query] * ${LOG2E});
  let w = ${spec.causal ? 'select(0.0, every, row <= shift + query)' : 'every'};
  let ds = w * (${dot(units, 'v', (c) => `dout_${c}`)} - delta[entry + query]);
${each(units, (c) => `dk_${c} += q_${c} * ds; dv_${c} += dout_${c} * w;`)}
}`,
)}
if (!owner) { return; }
${each(units, (c) => `dk[at + ${c}u] = dk_${c} * p.scale; dv[at + ${c}u] = dv_${c};`)}
}`;
  return finish(spec, 'backward_kv', { body, rows: workgroupSize });
}

/** The start of `main`: see `where`; then the lane's `row`, where it starts (`at`), and whether the lane writes it (`owner`). */
function head(side: Side, spec: AttentionSpec, workgroupSize: number): string {
  return `${mainHead(workgroupSize)}
${where(spec, side)}
let owner = tile * ${workgroupSize}u + lane < ${side.length};
let row = min(tile * ${workgroupSize}u + lane, ${side.length} - 1u);
let at = ${side.start} + row * ${side.rowUnits};`;
}

/** Heads masked to 0 are left after writing zeros to the named outputs. */
function skipMasked(spec: AttentionSpec, wide: string, perQuery: string): string {
  if (!spec.headMask) return '';
  return `if (head_mask[h] == 0.0) {
  if (owner) {
${each(unitsOf(spec), (c) => `${wide}[at + ${c}u] = V(0.0);`)}
${perQuery}[entry + row] = 0.0;
  }
  return;
}`;
}

function endOfKeys({ causal }: AttentionSpec, workgroupSize: number): string {
  return causal ? `min(p.keys, shift + (tile + 1u) * ${workgroupSize}u)` : 'p.keys';
}

/** Σ over a row's units of the registers NAME_c times `other(c)`. */
function dot(units: number, name: string, other: (c: number) => string): string {
  return `hsum(${range(units)
    .map((c) => `${name}_${c} * ${other(c)}`)
    .join(' + ')})`;
}
