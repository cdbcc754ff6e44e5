/**
 * Room: kernels/attention. The two products attention is made of, for one subgroup of a CPU rasteriser (kernels/matmul/panel.ts
 * says what costs what there). A workgroup takes `rows` rows of one side (queries; keys for dk and dv) of one head. It loads
 * panels of the other side, some `keys` rows at a time, into the lanes' own memory, then walks its rows past them. What a row
 * has summed so far waits in workgroup memory.
 */
import type { DeviceTraits } from '../kernel.ts';
import { each, range } from '../text.ts';
import { KEYS, QUERIES, unitsOf, where, type AttentionSpec, type Side } from './spec.ts';

/** How a workgroup walks: its rows past panels of the other side. */
export interface Walk {
  /** Whose rows a workgroup walks, and whose lie in the panels. */
  readonly own: Side;
  readonly other: Side;
  /** Lanes of the subgroup, which is the workgroup. */
  readonly lanes: number;
  readonly units: number;
  /** Units of a head's row that a lane sums; they are `lanes` apart. */
  readonly chunks: number;
  /** Most rows per workgroup; how many it takes is the uniform `p.rows`. */
  readonly maxRows: number;
  readonly rows: number;
  /** Rows of the other side in a panel, and those of one lane, which are `lanes` apart. */
  readonly keys: number;
  readonly groups: number;
}

/** What the row loop of a kernel needs. */
export interface WalkNeeds {
  readonly own: Side;
  /** Floats of other rows in one panel; every panel's are unrolled. */
  readonly panel: number;
  /** Rows of sums per row. */
  readonly sums: number;
  /** Bytes of state per row and lane beside the sums. */
  readonly state: number;
  /** Rows per workgroup, at most. */
  readonly rows: number;
}

/** As many rows and as deep panels as workgroup memory and the lanes' own memory hold. */
export function walkFor(
  spec: AttentionSpec,
  { own, ...needs }: WalkNeeds,
  { subgroupSize: lanes, workgroupMemory }: DeviceTraits,
): Walk {
  const { headDim } = spec;
  const [length, others] = own === QUERIES ? [spec.seq, spec.keys] : [spec.keys, spec.seq];
  const units = unitsOf(spec);
  const chunks = Math.ceil(units / lanes);
  const bytes = lanes * (needs.sums * chunks * (headDim / units) * 4 + needs.state);
  const maxRows = Math.max(1, Math.min(needs.rows, Math.floor(workgroupMemory / bytes)));
  const most = Math.max(1, Math.min(128, needs.panel / headDim) / lanes);
  const groups = Math.max(1, 2 ** Math.floor(Math.log2(Math.min(most, 2 ** Math.ceil(Math.log2(others / lanes))))));
  const rows = Math.ceil(length / Math.ceil(length / maxRows));
  return {
    own,
    other: own === QUERIES ? KEYS : QUERIES,
    lanes,
    units,
    chunks,
    maxRows,
    rows,
    keys: groups * lanes,
    groups,
  };
}

/** Loops end at the last seen key, the same in all lanes, which WGSL's uniformity analysis can't know. */
const UNIFORM = '@diagnostic(off, subgroup_uniformity)';

/** The start of `main`: see `where`; then the tile's `first` row and how many `rows` it has. */
export function head(spec: AttentionSpec, { lanes, own }: Walk): string {
  return `@compute @workgroup_size(${lanes}) ${UNIFORM}
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let group = wid.y * groups.x + wid.x;
${where(spec, own)}
  let first = tile * p.rows;
  let rows = min(p.rows, ${own.length} - first);`;
}

/**
 * The end of a loop that fills a panel, times `p.once`, which is 1. Mesa's compiler unrolls loops of a known number of turns that
 * index an array, and each load is many branches of the kernel: seconds of compilation that make nothing faster.
 */
function turns(count: number): string {
  return `${count}u * p.once`;
}

/** Panel NAME: in each lane whole rows of a binding, those of `start + lane` and on in steps of `lanes`. For `scores`. */
export function across({ lanes, units, groups, other }: Walk, name: string, binding: string): string {
  return `var ${name}: array<V, ${groups * units}>;
for (var i = 0u; i < ${turns(groups * units)}; i++) {
  let near = min(start + i / ${units}u * ${lanes}u + lane, ${other.length} - 1u);
  ${name}[i] = ${binding}[${other.start} + near * ${other.rowUnits} + i % ${units}u];
}`;
}

/** Panel NAME: in each lane its own units of all rows from `start` on. For `accumulatePV`. */
export function along({ lanes, keys, chunks, other }: Walk, name: string, binding: string): string {
  return `var ${name}: array<V, ${keys * chunks}>;
for (var i = 0u; i < ${turns(keys * chunks)}; i++) {
  let near = min(start + i / ${chunks}u, ${other.length} - 1u);
  ${name}[i] = ${binding}[${other.start} + near * ${other.rowUnits} + min(lane + i % ${chunks}u * ${lanes}u, p.units - 1u)];
}`;
}

/** A value per row of the lane: NAME[g] is `value` of `other`, the row's number, and of `near`, the same within the sequence. */
export function perGroup({ lanes, groups, other }: Walk, name: string, value: string): string {
  return `var ${name}: array<f32, ${groups}>;
for (var g = 0u; g < ${turns(groups)}; g++) {
  let other = start + g * ${lanes}u + lane;
  let near = min(other, ${other.length} - 1u);
  ${name}[g] = ${value};
}`;
}

/**
 * Walks the rows: i is the row's number in the tile, `row` in the sequence, `at` the lane's first unit of it.
 * `from` and `to` are WGSL expressions: only rows from ≤ i < to of the tile are walked.
 */
export function walk({ own }: Walk, body: string, { from = '0u', to = 'rows' } = {}): string {
  return `for (var i = ${from}; i < ${to}; i++) {
let row = first + i;
let at = ${own.start} + row * ${own.rowUnits};
${body}
}`;
}

/** The lane's units of the row of a binding: BINDING_c. */
export function ownUnits({ lanes, chunks }: Walk, binding: string): string {
  return each(chunks, (c) => `let ${binding}_${c} = ${binding}[at + min(lane + ${c * lanes}u, p.units - 1u)];`);
}

/** NAME_g = Σ row · row g of an `across` panel; the row as `ownUnits` has loaded it. */
export function scores({ lanes, units, groups }: Walk, name: string, row: string, panel: string): string {
  const vector = (u: number) => {
    const sums = range(groups).map((g) => `${name}_${g} += hsum(x * ${panel}[${g * units + u}]);`);
    return `{ let x = subgroupBroadcast(${row}_${Math.floor(u / lanes)}, ${u % lanes}u); ${sums.join(' ')} }`;
  };
  return `${each(groups, (g) => `var ${name}_${g} = 0.0;`)}
${each(units, vector)}`;
}

/** NAME_c += Σ weight · unit over the rows of an `along` panel, as P·V, dS·K and their like; the weights are WEIGHTS_g. In two sums, which wait less. */
export function accumulatePV({ lanes, keys, chunks }: Walk, name: string, weights: string, panel: string): string {
  const term = (r: number) => {
    const sums = range(chunks).map((c) => `${r % 2 ? 'odd_' : ''}${name}_${c} += w * ${panel}[${r * chunks + c}];`);
    return `{ let w = subgroupBroadcast(${weights}_${Math.floor(r / lanes)}, ${r % lanes}u); ${sums.join(' ')} }`;
  };
  return `${each(chunks, (c) => `var odd_${name}_${c} = V(0.0);`)}
${each(keys, term)}
${each(chunks, (c) => `${name}_${c} += odd_${name}_${c};`)}`;
}

/** A row's sums in workgroup memory, declared, fetched times a factor, and put back. */
export function rowSums({ lanes, chunks, maxRows }: Walk, name: string) {
  const slot = (c: number) => `${name}_sums[(i * ${chunks}u + ${c}u) * ${lanes}u + lane]`;
  return {
    declaration: `var<workgroup> ${name}_sums: array<V, ${maxRows * chunks * lanes}>;`,
    fetch: (factor = '') => each(chunks, (c) => `var ${name}_${c} = ${slot(c)}${factor};`),
    keep: each(chunks, (c) => `${slot(c)} = ${name}_${c};`),
    /** Writes the sums of row i to the binding of the same name, each as `value`, a WGSL expression of `sum`. */
    store: (value: string) =>
      each(chunks, (c) => {
        const unit = `lane + ${c * lanes}u`;
        return `if (${unit} < p.units) { let sum = ${slot(c)}; ${name}[at + ${unit}] = ${value}; }`;
      }),
  };
}
