/**
 * Room: kernels. Attention where a lane holds one query row (one key row for dk and dv) in registers and walks the other side;
 * its addresses are then the same for all lanes, which GPUs load once. Portable: no subgroup operations.
 */
import type { DeviceTraits, Kernel } from '../kernel.ts';
import {
  dot,
  each,
  finish,
  head,
  layoutOf,
  LEAST,
  LN2,
  LOG2E,
  maxOf,
  range,
  sizes,
  type AttentionSpec,
} from './spec.ts';

export function forwardByRows(spec: AttentionSpec, traits: DeviceTraits): Kernel {
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

export function backwardQByRows(spec: AttentionSpec, traits: DeviceTraits): Kernel {
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

export function backwardKVByRows(spec: AttentionSpec, traits: DeviceTraits): Kernel {
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
