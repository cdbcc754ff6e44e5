/**
 * Room: kernels/matmul. The template for matrix units: a workgroup stages f16 tiles of A and B in workgroup memory, 32 deep and as
 * they lie in the operands; each of its subgroups multiplies its part from there. Sums are f32.
 */
import { range } from '../text.ts';
import type { MatrixAddress, SubgroupMatrixConfig } from './subgroup-matrix-syntax.ts';
import { operandOf, vectorNames, type Operand } from './operand.ts';
import { callEpilogue, summed, tileMain, type MatmulSpec, type KernelTemplate } from './spec.ts';

/** Rows and columns of C per workgroup, and its subgroups down and across. */
export interface SubgroupMatrixTile {
  readonly rows: number;
  readonly cols: number;
  readonly down: number;
  readonly across: number;
}

const DEPTH = 32;
/** Elements left free at the end of each row in workgroup memory, so that rows start in different banks. */
const PAD = { factors: 8, sums: 4 } as const;

/** Elements of a staged tile, whichever way it lies. */
function tileLength(extent: number): number {
  return Math.max(extent * (DEPTH + PAD.factors), DEPTH * (extent + PAD.factors));
}

function sumsLength({ down, across }: SubgroupMatrixTile, { m, n }: SubgroupMatrixConfig): number {
  return down * across * m * (n + PAD.sums);
}

/** Bytes of workgroup memory that a tile needs. */
export function matrixBytes(tile: SubgroupMatrixTile, unit: SubgroupMatrixConfig): number {
  return 2 * (tileLength(tile.rows) + tileLength(tile.cols)) + 4 * sumsLength(tile, unit);
}

/** Whether a tile divides into whole matrices of the unit. */
export function matrixFits(
  { rows, cols, down, across }: SubgroupMatrixTile,
  { m, n, k }: SubgroupMatrixConfig,
): boolean {
  return rows % (down * m) === 0 && cols % (across * n) === 0 && DEPTH % k === 0 && n % 4 === 0;
}

/** For terms that drop no product, on tiles that `matrixFits`. @param lanes of a subgroup */
export function subgroupMatrixTemplate(
  spec: MatmulSpec,
  tile: SubgroupMatrixTile,
  unit: SubgroupMatrixConfig,
  lanes: number,
  vector: boolean,
): KernelTemplate {
  const { m, n, syntax } = unit;
  const { rows, cols, down, across } = tile;
  const options = { four: true, guardK: true };
  const pairs = spec.terms.map((_, t) => [operandOf(spec, t, 'a', options), operandOf(spec, t, 'b', options)] as const);
  const operands = pairs.flat();
  const [partRows, partCols] = [rows / down, cols / across];
  const places = range(partRows / m).flatMap((i) => range(partCols / n).map((j) => [i, j] as const));
  const sums: MatrixAddress = { array: 'c_tile', offset: 'sums', stride: n + PAD.sums };
  const wgsl = `// As they lie in the operands, [row][k] or [k][row], [k][col] or [col][k]; then one matrix of sums per subgroup.
var<workgroup> a_tile: array<f16, ${tileLength(rows)}>;
var<workgroup> b_tile: array<f16, ${tileLength(cols)}>;
var<workgroup> c_tile: array<f32, ${sumsLength(tile, unit)}>;

${operands.map((o) => o.load).join('\n')}

// The epilogue of one matrix.
fn drain(sums: u32, first_row: u32, first_col: u32, lane: u32) {
  for (var quad = lane; quad < ${(m * n) / 4}u; quad += ${lanes}u) {
    let row = first_row + quad / ${n / 4}u;
    let col = first_col + quad % ${n / 4}u * 4u;
    let at = sums + quad / ${n / 4}u * ${n + PAD.sums}u + quad % ${n / 4}u * 4u;
    let acc = vec4<f32>(c_tile[at], c_tile[at + 1u], c_tile[at + 2u], c_tile[at + 3u]);
    ${callEpilogue('acc', vector)}
  }
}

${tileMain(spec, down * across * lanes, 'local_invocation_index', 'id')}
  let tile_row = tile % p.tiles_m * ${rows}u;
  let tile_col = tile / p.tiles_m * ${cols}u;
  let part = id / ${lanes}u;
  let lane = id % ${lanes}u;
  let part_row = part / ${across}u * ${partRows}u;
  let part_col = part % ${across}u * ${partCols}u;
  let sums = part * ${m * (n + PAD.sums)}u;
${places.map(([i, j]) => `  ${syntax.zero(`c${i}_${j}`, unit)}`).join('\n')}
${summed(
  spec,
  pairs.map(([a, b], t) => productLoop(a, b, t, tile, unit, lanes)),
)}
${places
  .map(
    ([i, j]) => `  ${syntax.store(`c${i}_${j}`, unit, sums)}
  workgroupBarrier();
  drain(sums, tile_row + part_row + ${i * m}u, tile_col + part_col + ${j * n}u, lane);
  workgroupBarrier();`,
  )
  .join('\n')}
}`;
  return {
    enables: syntax.enables,
    directives: syntax.directives,
    wgsl,
    vectorBindings: vectorNames(operands),
    tile: [rows, cols],
  };
}

function productLoop(
  a: Operand,
  b: Operand,
  t: number,
  tile: SubgroupMatrixTile,
  unit: SubgroupMatrixConfig,
  lanes: number,
): string {
  const { rows, cols, down, across } = tile;
  const { m, n, k, syntax } = unit;
  const threads = down * across * lanes;
  const [left, right] = [range(rows / down / m), range(cols / across / n)];
  const loadLeft = (i: number) => {
    const place = placeOf('a_tile', `part_row + ${i * m}u`, rows, a.kContiguous);
    return syntax.load(`left_${i}`, 'left', unit, place, a.kContiguous);
  };
  const loadRight = (j: number) => {
    const place = placeOf('b_tile', `part_col + ${j * n}u`, cols, b.kContiguous);
    return syntax.load(`right_${j}`, 'right', unit, place, !b.kContiguous);
  };
  const products = right.flatMap((j) => [
    loadRight(j),
    ...left.map((i) => syntax.multiplyAdd(`c${i}_${j}`, `left_${i}`, `right_${j}`, unit)),
  ]);
  return `  for (var k = 0u; k < p.k${t}; k += ${DEPTH}u) {
    ${stage(a, 'a_tile', 'tile_row', rows, threads)}
    ${stage(b, 'b_tile', 'tile_col', cols, threads)}
    workgroupBarrier();
    for (var depth = 0u; depth < ${DEPTH}u; depth += ${k}u) {
${[...left.map(loadLeft), ...products].map((line) => `      ${line}`).join('\n')}
    }
    workgroupBarrier();
  }`;
}

/** Where the matrix at row (column) `at` and depth `depth` of a staged tile lies. */
function placeOf(array: string, at: string, extent: number, kContiguous: boolean): MatrixAddress {
  const stride = (kContiguous ? DEPTH : extent) + PAD.factors;
  const offset = kContiguous ? `(${at}) * ${stride}u + depth` : `depth * ${stride}u + ${at}`;
  return { array, offset, stride };
}

/** Copies a tile into workgroup memory as f16, four neighbours at a time. */
function stage({ name, kContiguous }: Operand, array: string, origin: string, extent: number, threads: number): string {
  const quads = (kContiguous ? DEPTH : extent) / 4;
  const [line, quad] = [`e / ${quads}u`, `e % ${quads}u * 4u`];
  const [depth, at] = kContiguous ? [quad, line] : [line, quad];
  const stride = (kContiguous ? DEPTH : extent) + PAD.factors;
  return `for (var e = id; e < ${(extent * DEPTH) / 4}u; e += ${threads}u) {
      let four = vec4<f16>(load_${name}(k + ${depth}, ${origin} + ${at}));
      let slot = ${line} * ${stride}u + ${quad};
      ${range(4)
        .map((d) => `${array}[slot + ${d}u] = four[${d}];`)
        .join(' ')}
    }`;
}
