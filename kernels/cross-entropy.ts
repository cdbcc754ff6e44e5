/** Room: kernels. Softmax cross-entropy per row, with its gradient. */
import { assemble, u32Params } from './assemble.ts';
import type { DeviceTraits, Kernel } from './kernel.ts';
import { rowGroups, rowMain, rowReduction } from './row-group.ts';

export interface CrossEntropySpec {
  readonly rows: number;
  readonly classes: number;
}

/**
 * Bindings: logits f32 [rows, classes], labels i32 [rows] (negative = left out), then loss f32 [rows] = −log softmax(logits)[label]
 * and grad f32 [rows, classes] = softmax(logits) − onehot(label), both 0 in rows left out.
 */
export function crossEntropy({ rows, classes }: CrossEntropySpec, traits: DeviceTraits): Kernel {
  const vector = classes % 4 === 0;
  const units = classes / (vector ? 4 : 1);
  const groups = rowGroups(rows, units, traits);
  const width = vector ? 4 : 1;
  const highest = vector ? 'max(max(m.x, m.y), max(m.z, m.w))' : 'm';
  const body = `${rowReduction(groups, 'max', 'f32', 'max(a, b)')}
${rowReduction(groups, 'sum', 'f32', 'a + b')}
${rowMain(groups)}
  let label = labels[row];
  var m = V(-3.4e38);
  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) { m = max(m, logits[row * p.units + unit]); }
  let top = row_max(${highest}, lane);
  var s = V(0.0);
  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) { s += exp(logits[row * p.units + unit] - V(top)); }
  let total = row_sum(hsum(s), lane);
  if (!owner) { return; }
  let used = select(0.0, 1.0, label >= 0);
  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) {
    let at = row * p.units + unit;
    grad[at] = exp(logits[at] - V(top)) * (used / total);
    let lane_of_label = label - i32(unit * ${width}u);
    if (label >= 0 && lane_of_label >= 0 && lane_of_label < ${width}) {
      let score = logits[at]${vector ? '[lane_of_label]' : ''};
      grad[at]${vector ? '[lane_of_label]' : ''} -= 1.0;
      loss[row] = log(total) + top - score;
    }
  }
  if (label < 0 && member == 0u) { loss[row] = 0.0; }
}`;
  return assemble({
    name: 'cross_entropy',
    bindings: [
      { name: 'logits', dtype: 'f32', role: 'in' },
      { name: 'labels', dtype: 'i32', role: 'in' },
      { name: 'loss', dtype: 'f32', role: 'out' },
      { name: 'grad', dtype: 'f32', role: 'out' },
    ],
    params: u32Params({ rows, units }),
    body,
    vector,
    vectorBindings: vector ? ['logits', 'grad'] : [],
    workgroups: groups.workgroups,
    flops: 6 * rows * classes,
    bytes: 4 * (2 * rows * classes + 2 * rows),
  });
}
