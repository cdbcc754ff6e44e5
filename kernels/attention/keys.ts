/**
 * Room: kernels/attention. Portable attention for few queries, as in generation, where a lane to a query would leave all others
 * idle: a workgroup takes one query, its lanes share out the keys and join what each has summed.
 */
import { mainHead } from '../assemble.ts';
import type { Kernel } from '../kernel.ts';
import { rowReduction } from '../row-group.ts';
import { each, range } from '../text.ts';
import { IN_REGISTERS, logSumExp, onlineSoftmax, reciprocal, weightOf } from './online-softmax.ts';
import { finish, LOG2E, QUERIES, unitsOf, unseenKey, where, type AttentionSpec } from './spec.ts';

/** See `attentionForward`. @param workgroupSize of a workgroup, a power of two */
export function forwardByKeys(spec: AttentionSpec, workgroupSize: number): Kernel {
  const units = unitsOf(spec);
  const shared = { workgroupSize, perRow: workgroupSize };
  const score = range(units).map((c) => `q_${c} * k[at_key + ${c}u]`);
  const reach = spec.causal ? 'min(p.keys, shift + row + 1u)' : 'p.keys';
  const body = `${rowReduction(shared, 'max', 'f32', 'max(a, b)')}
${rowReduction(shared, 'l', 'f32', 'a + b')}
${rowReduction(shared, 'sum', 'V', 'a + b')}
${mainHead(workgroupSize)}
${where(spec, QUERIES)}
  let row = tile;
  let at = base + row * p.row_units;
${each(units, (c) => `let q_${c} = q[at + ${c}u] * (p.scale * ${LOG2E}); var o_${c} = V(0.0);`)}
${IN_REGISTERS.declaration}
  let end = ${spec.headMask ? `select(0u, ${reach}, head_mask[h] != 0.0)` : reach};
  for (var key = lane; key < end; key += ${workgroupSize}u) {
    if (${unseenKey(spec, 'key', 'row')}) { continue; }
    let at_key = kv_base + key * p.kv_row_units;
    let s = hsum(${score.join(' + ')});
${onlineSoftmax(IN_REGISTERS, { max: 's', weights: `let w = ${weightOf('s')};`, sum: 'w' })}
${each(units, (c) => `o_${c} = o_${c} * alpha + v[at_key + ${c}u] * w;`)}
  }
  let m_new = row_max(m, lane);
  let alpha = exp2(m - m_new);
  let l_all = row_l(l * alpha, lane);
  let inverse = ${reciprocal('l_all', 'alpha')};
${each(units, (c) => `{ let sum = row_sum(o_${c} * inverse, lane); if (lane == 0u) { o[at + ${c}u] = sum; } }`)}
  if (lane == 0u) { lse[entry + row] = ${logSumExp('m_new', 'l_all')}; }
}`;
  return finish(spec, 'forward', { body, rows: 1 });
}
