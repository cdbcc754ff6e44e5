/**
 * Room: kernels/attention. The two products attention is made of, for one tile on one subgroup. A tile is `rows` rows of one
 * side (queries; keys for dk and dv), whose sums every lane keeps in registers, against as many rows of the other side as the
 * subgroup has lanes, one each. Subgroup operations move what another lane has loaded.
 */
import { each, range, unitsOf, WHERE, type AttentionSpec } from './spec.ts';

export interface Tile {
  /** Lanes of the subgroup, which is the workgroup. */
  readonly lanes: number;
  readonly rows: number;
  readonly vector: boolean;
  /** Units of a head's row that a lane sums in `mix`; they are `lanes` apart. */
  readonly chunks: number;
  /** Where a row has fewer units than there are lanes: runs of lanes that mix different rows of the other side. */
  readonly sides: number;
}

/** Floats of sums per lane; with more, spilling costs more than the loads saved. */
const SUMS = 128;

/** @param rows rows of the tile; see `tileRows` */
export function tileFor(spec: AttentionSpec, lanes: number, rows: number): Tile {
  const units = unitsOf(spec);
  const width = spec.headDim / units;
  const chunks = Math.ceil(units / lanes);
  return { lanes, rows, vector: width === 4, chunks, sides: 2 ** Math.floor(Math.log2(Math.max(1, lanes / units))) };
}

/**
 * Rows a tile may have, the best guess first.
 * @param outputs rows summed per row of the tile: 1, or 2 for dk and dv
 */
export function tileRows(spec: AttentionSpec, outputs: number, lanes: number): number[] {
  const perRow = outputs * Math.ceil(unitsOf(spec) / lanes) * (spec.headDim / unitsOf(spec));
  const guess = [16, 8].find((rows) => rows * perRow <= SUMS) ?? 4;
  return [guess, ...[16, 8, 4].filter((rows) => rows !== guess && rows * perRow <= 2 * SUMS)];
}

/** Loops end at the last seen key, the same in all lanes, which WGSL's uniformity analysis can't know. */
const UNIFORM = '@diagnostic(off, subgroup_uniformity)';

/**
 * The start of `main`: see WHERE; then the tile's `first` row, the rows a lane owns (`owned_r`; it loads them for all),
 * and its part in `mix`: `unit_c` and `side`.
 */
export function head({ lanes, rows, chunks, sides }: Tile): string {
  return `${sides > 1 ? fold(sides) : ''}
@compute @workgroup_size(${lanes}) ${UNIFORM}
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let group = wid.y * groups.x + wid.x;
${WHERE}
  let first = tile * ${rows}u;
${each(Math.ceil(rows / lanes), (r) => `  let owned_${r} = min(first + min(lane + ${r * lanes}u, ${rows - 1}u), p.seq - 1u);`)}
${each(chunks, (c) => `  let unit_${c} = min(${sides > 1 ? 'lane % p.units' : `lane + ${c * lanes}u`}, p.units - 1u);`)}
  let side = ${sides > 1 ? `min(lane / p.units, ${sides - 1}u)` : '0u'};`;
}

/** In the first `p.units` lanes: the sum of v over the sides. */
function fold(sides: number): string {
  return `${UNIFORM} fn fold(v: V, unit: u32) -> V {
  var sum = v;
  for (var side = 1u; side < ${sides}u; side++) { sum += subgroupShuffle(v, unit + side * p.units); }
  return sum;
}`;
}

/** A value of every row, given by the row's index expression: loads it for owned rows; `at(i)` is that of row i. */
export function fromOwners({ lanes, rows }: Tile, name: string, value: (row: string) => string) {
  return {
    load: each(Math.ceil(rows / lanes), (r) => `let own_${name}_${r} = ${value(`owned_${r}`)};`),
    at: (i: number) => `subgroupBroadcast(own_${name}_${Math.floor(i / lanes)}, ${i % lanes}u)`,
  };
}

/** `other`, the lane's row of the other side in the step that begins at `start`, and `near`, the same within the sequence. */
export const OTHER = `let other = start + lane;
let near = min(other, p.seq - 1u);`;

export interface Product {
  readonly name: string;
  /** Binding of the tile's side. */
  readonly left: string;
  /** Binding of the other side. */
  readonly right: string;
}

/** NAME_i = Σ_d left[row i][d] · right[other][d] of every product, in one loop over d. */
export function scores(tile: Tile, products: readonly Product[]): string {
  const lines = products.map(({ name, left, right }) => {
    const row = fromOwners(tile, left, (index) => `${left}[base + ${index} * p.row_units + d]`);
    const sum = (i: number) => (tile.vector ? `dot(${row.at(i)}, right)` : `${row.at(i)} * right`);
    return `{
let right = ${right}[base + near * p.row_units + d];
${row.load}
${each(tile.rows, (i) => `${name}_${i} += ${sum(i)};`)}
}`;
  });
  const names = products.flatMap(({ name }) => range(tile.rows).map((i) => `${name}_${i}`));
  return `${names.map((name) => `var ${name} = 0.0;`).join(' ')}
for (var d = 0u; d < p.units; d++) {
${lines.join('\n')}
}`;
}

export interface Mix {
  /** The sums are NAME_i_c. */
  readonly name: string;
  /** The weights are WEIGHTS_i, each lane's for its row of the other side. */
  readonly weights: string;
  /** Binding of the other side. */
  readonly other: string;
}

/** NAME_i_c += Σ weights_i · other[row][unit_c] over the rows of all lanes, for every mix. */
export function mix({ lanes, rows, chunks, sides }: Tile, mixes: readonly Mix[]): string {
  const sums = ({ name, weights }: Mix) =>
    each(rows, (i) => {
      const terms = range(chunks).map((c) => `${name}_${i}_${c} += w * x_${c};`);
      return `{ let w = subgroupShuffle(${weights}_${i}, source); ${terms.join(' ')} }`;
    });
  return `for (var step = 0u; step < ${lanes}u; step += ${sides}u) {
let source = step + side;
let at = base + min(start + source, p.seq - 1u) * p.row_units;
${mixes.map((m) => `{\n${each(chunks, (c) => `let x_${c} = ${m.other}[at + unit_${c}];`)}\n${sums(m)}\n}`).join('\n')}
}`;
}

/** The sums of `mix`, cleared. */
export function clear({ rows, chunks }: Tile, name: string): string {
  return each(rows, (i) =>
    range(chunks)
      .map((c) => `var ${name}_${i}_${c} = V(0.0);`)
      .join(' '),
  );
}

/**
 * Writes sums of `mix` to the bindings of the same names, each as its value, a WGSL expression of `sum` and of `i`, the row's
 * number; `before` runs first in every row. Through arrays and loops of unknown length: compilers unroll others, at a cost
 * of seconds.
 */
export function store(tile: Tile, values: Readonly<Record<string, string>>, before = ''): string {
  const { lanes, rows, chunks, sides } = tile;
  const names = Object.keys(values);
  const sums = (name: string) => range(rows).flatMap((i) => range(chunks).map((c) => `${name}_${i}_${c}`));
  const write = (name: string) => {
    const sum = `${name}_sums[i * ${chunks}u + c]`;
    return `{ let sum = ${sides > 1 ? `fold(${sum}, lane)` : sum}; if (unit < p.units) { ${name}[at] = ${values[name]}; } }`;
  };
  return `${names.map((name) => `var ${name}_sums = array<V, ${rows * chunks}>(${sums(name).join(', ')});`).join('\n')}
for (var i = 0u; i < min(p.rows, p.seq - first); i++) {
${before}
for (var c = 0u; c * ${lanes}u < p.units; c++) {
let unit = c * ${lanes}u + lane;
let at = base + (first + i) * p.row_units + unit;
${names.map(write).join('\n')}
}
}`;
}
