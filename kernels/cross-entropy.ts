/** Room: kernels. Softmax cross-entropy per row, with its gradient. */
import { assemble, bind, u32Params, vectorize } from './assemble.ts';
import type { DeviceTraits, Kernel } from './kernel.ts';
import { expSum, expSumFunctions } from './exp-sum.ts';
import { rowGroups, rowMain } from './row-group.ts';

/** Of logits [rows, classes]. */
export interface CrossEntropySpec {
  readonly rows: number;
  readonly classes: number;
}

/**
 * Softmax cross-entropy of each row and its gradient in one kernel; three passes over a row, whose maximum is subtracted first.
 * Bindings: logits f32 [rows, classes], labels i32 [rows] below `classes` (negative = left out); then loss f32 [rows] =
 * −log softmax(logits)[label] and grad f32 [rows, classes] = softmax(logits) − onehot(label), both 0 in rows left out.
 */
export function crossEntropy({ rows, classes }: CrossEntropySpec, traits: DeviceTraits): Kernel {
  const { vector, width, units } = vectorize(classes);
  const groups = rowGroups(rows, units, traits);
  const { perRow } = groups;
  const body = `${expSumFunctions(groups)}
${rowMain(groups)}
  let label = labels[row];
  let first = row * p.units;
  let end = select(0u, p.units, label >= 0);
${expSum(groups, 'end')}
  if (!owner) { return; }
  if (label < 0) {
    for (var unit = member; unit < p.units; unit += ${perRow}u) { grad[first + unit] = V(0.0); }
    if (member == 0u) { loss[row] = 0.0; }
    return;
  }
  for (var unit = member; unit < p.units; unit += ${perRow}u) {
    let x = logits[first + unit];
    var probability = exp(x - V(peak)) / sum;
    if (unit == u32(label) / ${width}u) {
      let component = u32(label) % ${width}u;
      loss[row] = log(sum) + peak - x${vector ? '[component]' : ''};
      probability${vector ? '[component]' : ''} -= 1.0;
    }
    grad[first + unit] = probability;
  }
}`;
  return assemble({
    name: 'cross_entropy',
    bindings: [...bind('in', 'f32', 'logits'), ...bind('in', 'i32', 'labels'), ...bind('out', 'f32', 'loss', 'grad')],
    params: u32Params({ rows, units }),
    body,
    vector,
    vectorBindings: vector ? ['logits', 'grad'] : [],
    workgroups: groups.workgroups,
    flops: 6 * rows * classes,
    bytes: 4 * (2 * rows * classes + 2 * rows),
  });
}
