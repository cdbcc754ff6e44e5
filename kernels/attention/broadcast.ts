/**
 * Room: kernels. Attention for devices where loads are dear: a workgroup is one subgroup, a lane holds one query row (one key
 * row for dk and dv), and the other side's rows are loaded once per subgroup, one row by each lane, and spread with
 * subgroupBroadcast.
 */
import type { DeviceTraits, Kernel } from '../kernel.ts';
import { each, finish, head, layoutOf, LEAST, LN2, LOG2E, maxOf, range, sizes, type AttentionSpec } from './spec.ts';

/** See `attentionForward`. */
export function forwardByBroadcast(spec: AttentionSpec, traits: DeviceTraits): Kernel {
  const layout = layoutOf(spec, traits, traits.subgroupSize);
  const { chunks, lanes } = layout;
  const keys = range(lanes);
  const body = `${head(spec, layout, 'o', ['lse[(b * p.heads + h) * p.seq + lane_row] = 0.0;'])}
${each(chunks, (c) => `  let q${c} = q[at + ${c}u] * (p.scale * ${LOG2E});\n  var o${c} = V(0.0);`)}
  var most = ${LEAST};
  var total = 0.0;
  let end = ${spec.causal ? `min(p.seq, (tile + 1u) * ${lanes}u)` : 'p.seq'};
  for (var first = 0u; first < end; first += ${lanes}u) {
    let mine = min(first + lane, p.seq - 1u);
    let other = (b * p.seq + mine) * p.row_units + h * ${chunks}u;
    let visible = select(0u, 1u, first + lane < p.seq && mask[b * p.seq + mine] != 0);
${each(lanes, (j) => `    var d${j} = V(0.0);`)}
${each(chunks, (c) => `    { let part = k[other + ${c}u]; ${keys.map((j) => `d${j} += q${c} * subgroupBroadcast(part, ${j}u);`).join(' ')} }`)}
${keys
  .map(
    (
      j,
    ) => `    let seen${j} = subgroupBroadcast(visible, ${j}u) != 0u${spec.causal ? ` && first + ${j}u <= lane_row` : ''};
    let s${j} = select(${LEAST}, hsum(d${j}), seen${j});`,
  )
  .join('\n')}
    let peak = max(most, ${maxOf(keys.map((j) => `s${j}`))});
    let shrink = exp2(most - peak);
${each(lanes, (j) => `    let w${j} = select(0.0, exp2(s${j} - peak), seen${j});`)}
    total = total * shrink + (${keys.map((j) => `w${j}`).join(' + ')});
${each(chunks, (c) => `    { let part = v[other + ${c}u]; o${c} = o${c} * shrink; ${keys.map((j) => `o${c} += subgroupBroadcast(part, ${j}u) * w${j};`).join(' ')} }`)}
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

/** See `attentionBackwardQ`. */
export function backwardQByBroadcast(spec: AttentionSpec, traits: DeviceTraits): Kernel {
  const layout = layoutOf(spec, traits, traits.subgroupSize);
  const { chunks, lanes } = layout;
  const keys = range(lanes);
  const body = `${head(spec, layout, 'dq', ['delta[(b * p.heads + h) * p.seq + lane_row] = 0.0;'])}
${each(chunks, (c) => `  let q${c} = q[at + ${c}u] * (p.scale * ${LOG2E});\n  let do${c} = do_[at + ${c}u];\n  var dq${c} = V(0.0);`)}
  let own_delta = hsum(${range(chunks)
    .map((c) => `do${c} * o[at + ${c}u]`)
    .join(' + ')});
  let own_lse = lse[(b * p.heads + h) * p.seq + lane_row] * ${LOG2E};
  let end = ${spec.causal ? `min(p.seq, (tile + 1u) * ${lanes}u)` : 'p.seq'};
  for (var first = 0u; first < end; first += ${lanes}u) {
    let mine = min(first + lane, p.seq - 1u);
    let other = (b * p.seq + mine) * p.row_units + h * ${chunks}u;
    let visible = select(0u, 1u, first + lane < p.seq && mask[b * p.seq + mine] != 0);
${each(lanes, (j) => `    var d${j} = V(0.0);\n    var e${j} = V(0.0);`)}
${each(chunks, (c) => `    { let part = k[other + ${c}u]; ${keys.map((j) => `d${j} += q${c} * subgroupBroadcast(part, ${j}u);`).join(' ')} }`)}
${each(chunks, (c) => `    { let part = v[other + ${c}u]; ${keys.map((j) => `e${j} += do${c} * subgroupBroadcast(part, ${j}u);`).join(' ')} }`)}
${keys
  .map(
    (
      j,
    ) => `    let seen${j} = subgroupBroadcast(visible, ${j}u) != 0u${spec.causal ? ` && first + ${j}u <= lane_row` : ''};
    let ds${j} = select(0.0, exp2(hsum(d${j}) - own_lse) * (hsum(e${j}) - own_delta), seen${j});`,
  )
  .join('\n')}
${each(chunks, (c) => `    { let part = k[other + ${c}u]; ${keys.map((j) => `dq${c} += subgroupBroadcast(part, ${j}u) * ds${j};`).join(' ')} }`)}
  }
  if (!owner) { return; }
${each(chunks, (c) => `  dq[at + ${c}u] = dq${c} * p.scale;`)}
  delta[(b * p.heads + h) * p.seq + lane_row] = own_delta;
}`;
  const { elements, pairs } = sizes(spec);
  return finish('attention_backward_q', spec, layout, ['q', 'k', 'v', 'o', 'lse', 'do_'], ['dq', 'delta'], body, {
    flops: pairs * (6 * spec.headDim + 4),
    bytes: 4 * (6 * elements + spec.batch * spec.seq * (1 + 2 * spec.heads)),
  });
}

/** See `attentionBackwardKV`. */
export function backwardKVByBroadcast(spec: AttentionSpec, traits: DeviceTraits): Kernel {
  const layout = layoutOf(spec, traits, traits.subgroupSize);
  const { chunks, lanes } = layout;
  const queries = range(lanes);
  const body = `${head(spec, layout, 'dk', each(chunks, (c) => `dv[at + ${c}u] = V(0.0);`).split('\n'))}
${each(chunks, (c) => `  let k${c} = k[at + ${c}u] * (p.scale * ${LOG2E});\n  let v${c} = v[at + ${c}u];\n  var dk${c} = V(0.0);\n  var dv${c} = V(0.0);`)}
  let seen = mask[b * p.seq + lane_row] != 0;
  for (var first = ${spec.causal ? `tile * ${lanes}u` : '0u'}; first < p.seq; first += ${lanes}u) {
    let mine = min(first + lane, p.seq - 1u);
    let other = (b * p.seq + mine) * p.row_units + h * ${chunks}u;
    let entry = (b * p.heads + h) * p.seq + mine;
    let mine_lse = lse[entry] * ${LOG2E};
    let mine_delta = delta[entry];
${each(lanes, (j) => `    var d${j} = V(0.0);\n    var e${j} = V(0.0);`)}
${each(chunks, (c) => `    { let part = q[other + ${c}u]; ${queries.map((j) => `d${j} += k${c} * subgroupBroadcast(part, ${j}u);`).join(' ')} }`)}
${each(chunks, (c) => `    { let part = do_[other + ${c}u]; ${queries.map((j) => `e${j} += v${c} * subgroupBroadcast(part, ${j}u);`).join(' ')} }`)}
${queries
  .map(
    (j) => `    let on${j} = seen && first + ${j}u < p.seq${spec.causal ? ` && lane_row <= first + ${j}u` : ''};
    let w${j} = select(0.0, exp2(hsum(d${j}) - subgroupBroadcast(mine_lse, ${j}u)), on${j});
    let ds${j} = w${j} * (hsum(e${j}) - subgroupBroadcast(mine_delta, ${j}u));`,
  )
  .join('\n')}
${each(chunks, (c) => `    { let part = q[other + ${c}u]; ${queries.map((j) => `dk${c} += subgroupBroadcast(part, ${j}u) * ds${j};`).join(' ')} }`)}
${each(chunks, (c) => `    { let part = do_[other + ${c}u]; ${queries.map((j) => `dv${c} += subgroupBroadcast(part, ${j}u) * w${j};`).join(' ')} }`)}
  }
  if (!owner) { return; }
${each(chunks, (c) => `  dk[at + ${c}u] = dk${c} * p.scale;\n  dv[at + ${c}u] = dv${c};`)}
}`;
  const { elements, pairs } = sizes(spec);
  return finish('attention_backward_kv', spec, layout, ['q', 'k', 'v', 'lse', 'do_', 'delta'], ['dk', 'dv'], body, {
    flops: pairs * (8 * spec.headDim + 4),
    bytes: 4 * (6 * elements + spec.batch * spec.seq * (1 + 2 * spec.heads)),
  });
}
