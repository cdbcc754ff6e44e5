/** Room: kernels. What a softmax over a vocabulary needs of each part of it, where logits come part by part. */
import { assemble, bind, u32Params, vectorize } from './assemble.ts';
import type { DeviceTraits, Kernel } from './kernel.ts';
import { expSum, expSumFunctions } from './exp-sum.ts';
import { rowGroups, rowMain } from './row-group.ts';

/** Of logits [rows, classes], columns of a wider matrix. */
export interface LogSumExpSpec {
  readonly rows: number;
  readonly classes: number;
  /** The class of the first column. */
  readonly start: number;
}

/**
 * What joins parts of a vocabulary: a row's loss is the log-sum-exp over all parts' `lse`, minus the sum of their `picked`.
 * Bindings: logits f32 [rows, classes], labels i32 [rows]; then lse f32 [rows], the logarithm of the sum of the exponentials
 * of a row, and picked f32 [rows], its logit at the label, 0 where that is not among the columns.
 */
export function logSumExp({ rows, classes, start }: LogSumExpSpec, traits: DeviceTraits): Kernel {
  const { vector, width, units } = vectorize(classes);
  const groups = rowGroups(rows, units, traits);
  const body = `${expSumFunctions(groups)}
${rowMain(groups)}
  let first = row * p.units;
${expSum(groups, 'p.units')}
  if (!owner || member != 0u) { return; }
  lse[row] = log(sum) + peak;
  let column = labels[row] - p.start;
  picked[row] = 0.0;
  if (column >= 0 && column < i32(p.units * ${width}u)) {
    picked[row] = logits[first + u32(column) / ${width}u]${vector ? '[u32(column) % 4u]' : ''};
  }
}`;
  return assemble({
    name: 'log_sum_exp',
    bindings: [...bind('in', 'f32', 'logits'), ...bind('in', 'i32', 'labels'), ...bind('out', 'f32', 'lse', 'picked')],
    params: [...u32Params({ rows, units }), { name: 'start', type: 'i32', value: start }],
    body,
    vector,
    vectorBindings: vector ? ['logits'] : [],
    workgroups: groups.workgroups,
    flops: 4 * rows * classes,
    bytes: 4 * (rows * classes + 3 * rows),
  });
}
