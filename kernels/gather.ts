/** Room: kernels. Rows of a matrix by index, and the sum of rows back into the matrix. */
import { assemble, bind, mainHead, u32Params, vectorize } from './assemble.ts';
import { BYTES, spread, type DeviceTraits, type Kernel } from './kernel.ts';
import { policyOf } from './policy.ts';
import { rowGroups, rowMain } from './row-group.ts';
import { each } from './text.ts';

/** Rows picked out of tables [rows, cols] by `count` ids. */
export interface GatherSpec {
  /** Of the table; of each of its parts where it is bound in several. */
  readonly rows: readonly number[];
  readonly cols: number;
  /** Number of ids. */
  readonly count: number;
}

/** Rows added into one table [rows, cols] by `count` ids. */
export interface ScatterSpec extends Omit<GatherSpec, 'rows'> {
  readonly rows: number;
}

/**
 * An embedding's forward pass. Bindings: table0, table1, … f32 or f16 [rows, cols] each, ids i32 [count], then out f32 [count, cols]: the rows of the tables
 * put one below the other. An id outside them gives zeros. No flops; f16 rows are widened to f32.
 */
export function gatherRows(spec: GatherSpec & { readonly tableType: 'f32' | 'f16' }, traits: DeviceTraits): Kernel {
  const { rows, cols, count, tableType } = spec;
  const { vector, units } = vectorize(cols);
  const groups = rowGroups(count, units, traits);
  const tables = rows.map((_, t) => `table${t}`);
  const find = (t: number) => `  let holds_${t} = id >= 0 && id < p.rows${t};
  let at_${t} = u32(id) * p.units;
  id -= p.rows${t};`;
  const take = (t: number) => `    if (holds_${t}) { value = V(table${t}[at_${t} + unit]); }`;
  const body = `${rowMain(groups)}
  if (!owner) { return; }
  var id = ids[row];
${each(rows.length, find)}
  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) {
    var value = V(0.0);
${each(rows.length, take)}
    out[row * p.units + unit] = value;
  }
}`;
  return assemble({
    name: 'gather_rows',
    bindings: [...bind('in', tableType, ...tables), ...bind('in', 'i32', 'ids'), ...bind('out', 'f32', 'out')],
    params: [
      ...u32Params({ rows: count, units }),
      ...rows.map((value, t) => ({ name: `rows${t}`, type: 'i32', value }) as const),
    ],
    body,
    vector,
    vectorBindings: vector ? [...tables, 'out'] : [],
    workgroups: groups.workgroups,
    flops: 0,
    bytes: count * (4 + cols * (BYTES[tableType] + 4)),
  });
}

/**
 * An embedding's backward pass. Bindings: ids i32 [count], dy f32 [count, cols], then dtable f32 [rows, cols] = the sum of the rows of dy with that id,
 * in the order of the ids; zeros where there are none. A workgroup owns some columns of a run of table rows and scans
 * all ids for them: no atomics, and the same sum in every run.
 */
export function scatterRows({ rows, cols, count }: ScatterSpec, traits: DeviceTraits): Kernel {
  const { vector, units } = vectorize(cols);
  const { columnWorkgroupSize: workgroupSize, scatterWorkgroups } = policyOf(traits);
  const blocks = Math.ceil(units / workgroupSize);
  const runs = Math.min(rows, Math.ceil(scatterWorkgroups / blocks));
  const fours = count % 4 === 0;
  const body = `fn add_row(id: i32, row: u32, unit: u32) {
  dtable[u32(id) * p.units + unit] += dy[row * p.units + unit];
}
${mainHead(workgroupSize)}
  let first = group / p.blocks * p.run;
  let last = min(first + p.run, p.rows);
  let unit = group % p.blocks * ${workgroupSize}u + lane;
  if (unit >= p.units) { return; }
  for (var row = first; row < last; row++) { dtable[row * p.units + unit] = V(0.0); }
${fours ? SCAN_FOURS : SCAN}
}`;
  return assemble({
    name: 'scatter_rows',
    bindings: [...bind('in', 'i32', 'ids'), ...bind('in', 'f32', 'dy'), ...bind('out', 'f32', 'dtable')],
    params: u32Params({ rows, units, count, blocks, run: Math.ceil(rows / runs) }),
    body,
    vector,
    vectorBindings: [...(vector ? ['dy', 'dtable'] : []), ...(fours ? ['ids'] : [])],
    workgroups: spread(blocks * runs),
    flops: count * cols,
    bytes: 4 * (count + count * cols + rows * cols),
  });
}

const SCAN = `  for (var i = 0u; i < p.count; i++) {
    let id = ids[i];
    if (id >= i32(first) && id < i32(last)) { add_row(id, i, unit); }
  }`;

const SCAN_FOURS = `  for (var i = 0u; i < p.count / 4u; i++) {
    let four = ids[i];
    let mine = (four >= vec4(i32(first))) & (four < vec4(i32(last)));
    if (!any(mine)) { continue; }
    for (var j = 0u; j < 4u; j++) {
      if (mine[j]) { add_row(four[j], i * 4u + j, unit); }
    }
  }`;
