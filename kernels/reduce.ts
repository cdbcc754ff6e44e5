/** Room: kernels. Sums and maxima over the rows or columns of a matrix that a prologue fragment computes on the fly. */
import { assemble, bind, mainHead, u32Params, vectorize } from './assemble.ts';
import { fragmentBytes, fragmentFlops, emitFragment } from './emit-fragment.ts';
import type { Fragment } from './fragment.ts';
import { spread, type DeviceTraits, type Kernel } from './kernel.ts';
import { policyOf } from './policy.ts';
import { rowGroups, rowMain, rowReduction, SUM_BLOCK } from './row-group.ts';

/** A [rows, cols] matrix, its elements the value of `prologue.outputs[0]`. */
export interface MatrixReduction {
  readonly rows: number;
  readonly cols: number;
  readonly prologue: Fragment;
}

/**
 * Sum or maximum of every row: bindings the prologue's inputs, then `out` f32 [rows].
 * Sums are taken in blocks and trees of fixed shape: accurate, and the same every time.
 */
export function reduceRows(
  { op, ...reduction }: MatrixReduction & { readonly op: 'sum' | 'max' },
  traits: DeviceTraits,
): Kernel {
  const source = emitPrologue(reduction);
  const groups = rowGroups(reduction.rows, source.units, traits);
  const stride = groups.perRow * SUM_BLOCK;
  const identity = op === 'sum' ? 'V(0.0)' : 'V(-3.4028234e38)';
  const body = `${source.wgsl}
fn combine(a: V, b: V) -> V { return ${op === 'sum' ? 'a + b' : 'greater(a, b)'}; }
${rowReduction(groups, op, 'V', 'combine(a, b)')}
${rowMain(groups)}
  var total = ${identity};
  for (var block = member; block < p.units; block += ${stride}u) {
    var partial = ${identity};
    let end = min(block + ${stride}u, p.units);
    for (var unit = block; unit < end; unit += ${groups.perRow}u) { partial = combine(partial, element_at(row, unit)); }
    total = combine(total, partial);
  }
  total = row_${op}(total, lane);
  if (owner && member == 0u) { out[row] = h${op}(total); }
}`;
  return assemble({
    ...source.kernel,
    name: `reduce_rows.${op}`,
    params: [...u32Params({ rows: reduction.rows, cols: reduction.cols, units: source.units }), ...source.params],
    body,
    workgroups: groups.workgroups,
    bytes: source.bytes + reduction.rows * 4,
  });
}

/** Sum over the rows: bindings the prologue's inputs, then `out` f32 [cols]. For few rows, as one lane walks a column; see `colParts`. */
export function reduceCols(reduction: MatrixReduction, traits: DeviceTraits): Kernel {
  return columnSums('reduce_cols', reduction, 1, traits);
}

/**
 * First pass of a sum over many rows: the rows are cut into `colParts(rows, cols)` runs and `out` f32 [parts, cols] holds
 * the sums of each. `reduceCols` of that gives the result.
 */
export function reduceColsPartial(reduction: MatrixReduction, traits: DeviceTraits): Kernel {
  return columnSums('reduce_cols_partial', reduction, colParts(reduction.rows, reduction.cols), traits);
}

/** Into how many runs of rows a column sum is cut to occupy a device: 1 where columns are many or rows are few. */
export function colParts(rows: number, cols: number): number {
  if (rows <= 64) return 1;
  return Math.min(256, Math.ceil(rows / 32), Math.ceil(65536 / cols));
}

function columnSums(name: string, reduction: MatrixReduction, parts: number, traits: DeviceTraits): Kernel {
  const { rows, cols } = reduction;
  const source = emitPrologue(reduction);
  const workgroupSize = policyOf(traits).columnWorkgroupSize;
  const blocks = Math.ceil(source.units / workgroupSize);
  const body = `${source.wgsl}
${mainHead(workgroupSize)}
  let part = group / p.blocks;
  let unit = group % p.blocks * ${workgroupSize}u + lane;
  if (part >= p.parts || unit >= p.units) { return; }
  let last = min((part + 1u) * p.part_rows, p.rows);
  var total = V(0.0);
  for (var block = part * p.part_rows; block < last; block += ${SUM_BLOCK}u) {
    var partial = V(0.0);
    for (var row = block; row < min(block + ${SUM_BLOCK}u, last); row++) { partial += element_at(row, unit); }
    total += partial;
  }
  out[part * p.units + unit] = total;
}`;
  const own = u32Params({ rows, cols, units: source.units, blocks, parts, part_rows: Math.ceil(rows / parts) });
  return assemble({
    ...source.kernel,
    name,
    params: [...own, ...source.params],
    body,
    vectorBindings: [...source.kernel.vectorBindings, ...(source.vector ? ['out'] : [])],
    workgroups: spread(blocks * parts),
    bytes: source.bytes + parts * cols * 4,
  });
}

/** The prologue as `element_at(row, unit)`, and the parts of the kernel that follow from it. */
function emitPrologue({ rows, cols, prologue }: MatrixReduction) {
  const { vector, units } = vectorize(cols);
  const size = rows * cols;
  const emitted = emitFragment(prologue, { name: 'element', size, cols, vector, result: 'value' });
  const col = vector ? 'unit * 4u' : 'unit';
  return {
    vector,
    units,
    wgsl: `${emitted.wgsl}
fn element_at(row: u32, unit: u32) -> V { return element(row * p.cols + ${col}, row, ${col}); }`,
    params: emitted.params,
    bytes: fragmentBytes(prologue, size, 'value'),
    kernel: {
      bindings: [...emitted.bindings, ...bind('out', 'f32', 'out')],
      vector,
      vectorBindings: emitted.vectorBindings,
      flops: size + fragmentFlops(prologue, size),
    },
  };
}
