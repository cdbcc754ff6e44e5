/**
 * Room: kernels. Deals the lanes of workgroups out to the rows of a matrix, and reduces across the lanes of one row.
 * Row-wise kernels (row sums, layer norm, cross-entropy) share it.
 */
import { mainHead } from './assemble.ts';
import { spread, type DeviceTraits } from './kernel.ts';
import { policyOf } from './policy.ts';

/** How rows are dealt out to lanes. */
export interface RowGroups {
  /** Lanes of a workgroup. */
  readonly workgroupSize: number;
  /** Lanes that share a row: a power of two that divides `workgroupSize`. */
  readonly perRow: number;
  readonly workgroups: readonly [number, number, number];
}

/** Terms a lane adds up before that partial sum is added to the rest: rounding errors grow with neither count alone. */
export const SUM_BLOCK = 16;

/** Lanes for rows of `units` loads each: one to a row, or as many as have four loads each. */
export function rowGroups(rows: number, units: number, traits: DeviceTraits): RowGroups {
  const { lanePerRowFrom, unitsPerRowGroup } = policyOf(traits);
  const perRow = rows >= lanePerRowFrom ? 1 : Math.min(256, powerOfTwo(units / 4));
  const workgroupSize = Math.max(perRow, Math.min(64, powerOfTwo(unitsPerRowGroup / units, 8)));
  return { workgroupSize, perRow, workgroups: spread(Math.ceil((rows * perRow) / workgroupSize)) };
}

/** The least power of two that is at least `n` and at least `least`. */
function powerOfTwo(n: number, least = 1): number {
  return Math.max(least, 2 ** Math.ceil(Math.log2(n)));
}

/**
 * The start of `main`: `row`, the row this lane works on; `member`, its number among the row's lanes; `owner`, whether
 * it is to write the row's results. Lanes past the last row repeat it, so that barriers are reached by all.
 * Needs the uniform `p.rows`.
 */
export function rowMain({ workgroupSize, perRow }: RowGroups): string {
  return `${mainHead(workgroupSize)}
  let slot = group * ${workgroupSize / perRow}u + lane / ${perRow}u;
  let row = min(slot, p.rows - 1u);
  let member = lane % ${perRow}u;
  let owner = slot < p.rows;`;
}

/**
 * `fn row_NAME(value: TYPE, lane: u32) -> TYPE`: the WGSL expression `combine` of `a` and `b` over the lanes of a row, as a
 * tree in fixed order. To be called in uniform control flow.
 */
export function rowReduction(
  { workgroupSize, perRow }: Pick<RowGroups, 'workgroupSize' | 'perRow'>,
  name: string,
  type: string,
  combine: string,
): string {
  if (perRow === 1) return `fn row_${name}(value: ${type}, lane: u32) -> ${type} { return value; }`;
  return `var<workgroup> ${name}_scratch: array<${type}, ${workgroupSize}>;
fn row_${name}(value: ${type}, lane: u32) -> ${type} {
  ${name}_scratch[lane] = value;
  workgroupBarrier();
  for (var half = ${perRow / 2}u; half > 0u; half /= 2u) {
    if (lane % ${perRow}u < half) {
      let a = ${name}_scratch[lane];
      let b = ${name}_scratch[lane + half];
      ${name}_scratch[lane] = ${combine};
    }
    workgroupBarrier();
  }
  let total = ${name}_scratch[lane - lane % ${perRow}u];
  workgroupBarrier();
  return total;
}`;
}
