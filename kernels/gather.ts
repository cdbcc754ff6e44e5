/** Room: kernels. Rows of a matrix by index, and the sum of rows back into the matrix. */
import { assemble, mainHead, u32Params } from './assemble.ts';
import { BYTES, spread, type DeviceTraits, type Kernel } from './kernel.ts';

export interface GatherSpec {
  /** Of the table. */
  readonly rows: number;
  readonly cols: number;
  /** Number of ids. */
  readonly count: number;
}

const LANES = 64;

/**
 * Bindings: table f32 or f16 [rows, cols], ids i32 [count], then out f32 [count, cols]. An id outside [0, rows) gives zeros.
 */
export function gatherRows(spec: GatherSpec & { readonly tableType: 'f32' | 'f16' }, traits: DeviceTraits): Kernel {
  const { rows, cols, count, tableType } = spec;
  const vector = cols % 4 === 0;
  const units = cols / (vector ? 4 : 1);
  const perLane = traits.software ? 16 : 1;
  const body = `${mainHead(LANES)}
  let start = group * ${LANES * perLane}u + lane;
  for (var i = start; i < min(start + ${LANES * perLane}u, p.total); i += ${LANES}u) {
    let id = ids[i / p.units];
    var value = V(0.0);
    if (id >= 0 && id < i32(p.rows)) { value = V(table[u32(id) * p.units + i % p.units]); }
    out[i] = value;
  }
}`;
  const total = count * units;
  return assemble({
    name: 'gather_rows',
    bindings: [
      { name: 'table', dtype: tableType, role: 'in' },
      { name: 'ids', dtype: 'i32', role: 'in' },
      { name: 'out', dtype: 'f32', role: 'out' },
    ],
    params: u32Params({ rows, units, total }),
    body,
    vector,
    vectorBindings: vector ? ['table', 'out'] : [],
    workgroups: spread(Math.ceil(total / (LANES * perLane))),
    flops: 0,
    bytes: count * (4 + cols * (BYTES[tableType] + 4)),
  });
}

/** Table rows whose ids one workgroup looks for. */
const SCATTER_ROWS = 64;

/**
 * Bindings: ids i32 [count], dy f32 [count, cols], then dtable f32 [rows, cols] = the sum of the rows of dy with that id, in the
 * order of the ids; zeros where there are none. Every table row scans the ids, so no atomics are needed and the sum is
 * the same in every run.
 */
export function scatterRows({ rows, cols, count }: GatherSpec): Kernel {
  const vector = cols % 4 === 0;
  const units = cols / (vector ? 4 : 1);
  const body = `var<workgroup> found: array<u32, ${SCATTER_ROWS}>;

/** Clears the rows of this workgroup, then adds every matching row of dy. Lane = column unit. */
${mainHead(LANES)}
  let first = group * ${SCATTER_ROWS}u;
  let last = min(first + ${SCATTER_ROWS}u, p.rows);
  for (var i = first * p.units + lane; i < last * p.units; i += ${LANES}u) { dtable[i] = V(0.0); }
  storageBarrier();
  for (var base = 0u; base < p.count; base += ${SCATTER_ROWS}u) {
    let mine = base + lane;
    found[lane] = 0xffffffffu;
    if (mine < p.count) { found[lane] = u32(ids[mine]); }
    workgroupBarrier();
    for (var k = 0u; k < ${SCATTER_ROWS}u; k++) {
      let row = found[k];
      if (row >= first && row < last) {
        for (var unit = lane; unit < p.units; unit += ${LANES}u) { dtable[row * p.units + unit] += dy[(base + k) * p.units + unit]; }
      }
    }
    workgroupBarrier();
  }
}`;
  return assemble({
    name: 'scatter_rows',
    bindings: [
      { name: 'ids', dtype: 'i32', role: 'in' },
      { name: 'dy', dtype: 'f32', role: 'in' },
      { name: 'dtable', dtype: 'f32', role: 'out' },
    ],
    params: u32Params({ rows, units, count }),
    body,
    vector,
    vectorBindings: vector ? ['dy', 'dtable'] : [],
    workgroups: spread(Math.ceil(rows / SCATTER_ROWS)),
    flops: count * cols,
    bytes: 4 * (count + count * cols + rows * cols),
  });
}
