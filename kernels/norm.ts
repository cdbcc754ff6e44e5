/** Room: kernels. What layer normalisation and root-mean-square normalisation have in common around their bodies. */
import { assemble, bind, mainHead, u32Params, vectorize } from './assemble.ts';
import type { DeviceTraits, Kernel, Param } from './kernel.ts';
import { policyOf } from './policy.ts';
import { rowGroups, type RowGroups } from './row-group.ts';

/** Of a matrix x [rows, cols], normalised row by row. */
export interface NormSpec {
  readonly rows: number;
  readonly cols: number;
  readonly eps: number;
}

/** Rows whose gradients of the norm's parameters are summed by one workgroup. */
const PART_ROWS = 32;

/** First dimension of the partial gradients that the kernels with parameters' gradients write. */
export function normParts(rows: number): number {
  return Math.ceil(rows / PART_ROWS);
}

/** How rows are read. */
export interface NormLayout {
  /** Whether a unit is four elements. */
  readonly vector: boolean;
  readonly groups: RowGroups;
  readonly params: readonly Param[];
}

/** Rows dealt out to lanes, with the uniforms rows, cols, units and eps. */
export function normLayout({ rows, cols, eps }: NormSpec, traits: DeviceTraits): NormLayout {
  const { vector, units } = vectorize(cols);
  const params: Param[] = [...u32Params({ rows, cols, units }), { name: 'eps', type: 'f32', value: eps }];
  return { vector, groups: rowGroups(rows, units, traits), params };
}

/** Lanes for the kernels that do a part per workgroup. */
export function partGroups(groups: RowGroups, traits: DeviceTraits): RowGroups {
  return policyOf(traits).lanePerPartRow ? { ...groups, workgroupSize: PART_ROWS, perRow: 1 } : groups;
}

/** What a norm's kernel is beside its layout; all bindings are f32. */
interface NormParts extends Pick<Kernel, 'name' | 'flops' | 'bytes'> {
  readonly body: string;
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  /** Whether the first of `reads` is overwritten. */
  readonly inPlace?: boolean;
  readonly workgroups?: Kernel['workgroups'];
}

/** A kernel whose bindings are vectors where rows are. */
export function normKernel({ vector, groups, params }: NormLayout, parts: NormParts): Kernel {
  const { name, body, reads, writes, inPlace = false, workgroups = groups.workgroups, flops, bytes } = parts;
  const [first, ...others] = reads;
  return assemble({
    name,
    bindings: [
      ...bind(inPlace ? 'inout' : 'in', 'f32', first!),
      ...bind('in', 'f32', ...others),
      ...bind('out', 'f32', ...writes),
    ],
    params,
    body,
    vector,
    vectorBindings: vector ? [...reads, ...writes] : [],
    workgroups,
    flops,
    bytes,
  });
}

/**
 * The start of `main` where a workgroup does a part, `count` rows from `first`: it writes dx of its rows in turn and keeps some of
 * their `statistics` s for its columns, which come next. Needs `statistics` and `write_dx`.
 * @param type of what is kept of a row
 */
export function partRows({ workgroupSize, perRow }: RowGroups, type: string, value: string): string {
  const rowsAtOnce = workgroupSize / perRow;
  return `var<workgroup> kept: array<${type}, ${PART_ROWS}>;
${mainHead(workgroupSize)}
  let first = group * ${PART_ROWS}u;
  if (first >= p.rows) { return; }
  let count = min(${PART_ROWS}u, p.rows - first);
  let member = lane % ${perRow}u;
  for (var start = 0u; start < ${PART_ROWS}u; start += ${rowsAtOnce}u) {
    let slot = start + lane / ${perRow}u;
    let row = first + min(slot, count - 1u);
    let s = statistics(row, member, lane);
    if (slot < count) {
      write_dx(row, member, s);
      if (member == 0u) { kept[slot] = ${value}; }
    }
  }
  workgroupBarrier();`;
}
