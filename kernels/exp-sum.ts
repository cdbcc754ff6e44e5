/** Room: kernels. The sum of a row's exponentials, as cross-entropy and log-sum-exp need it. */
import { rowReduction, SUM_BLOCK, type RowGroups } from './row-group.ts';

/** What the code of `expSum` calls. */
export function expSumFunctions(groups: RowGroups): string {
  return `${rowReduction(groups, 'max', 'f32', 'max(a, b)')}
${rowReduction(groups, 'sum', 'f32', 'a + b')}`;
}

/**
 * After `rowMain` and with `first`, where the row of `logits` begins: `peak`, its greatest value, and `sum`, that of exp(value − peak).
 * To be put in uniform control flow.
 * @param end WGSL of the units to read; may differ between rows
 */
export function expSum({ perRow }: RowGroups, end: string): string {
  return `  var most = V(-3.4e38);
  for (var unit = member; unit < ${end}; unit += ${perRow}u) { most = max(most, logits[first + unit]); }
  let peak = row_max(hmax(most), lane);
  var total = V(0.0);
  for (var block = member; block < ${end}; block += ${perRow * SUM_BLOCK}u) {
    var partial = V(0.0);
    for (var unit = block; unit < min(block + ${perRow * SUM_BLOCK}u, ${end}); unit += ${perRow}u) {
      partial += exp(logits[first + unit] - V(peak));
    }
    total += partial;
  }
  let sum = row_sum(hsum(total), lane);`;
}
