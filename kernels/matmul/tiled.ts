/**
 * Room: kernels/matmul. The portable template, for GPUs: a workgroup stages tiles of A and B in workgroup memory, 16 deep,
 * and each invocation multiplies its rows by its four columns from there.
 */
import { operandOf, operandFunctions, vectorNames, type Operand } from './operand.ts';
import { dropsProduct } from './drop.ts';
import { callEpilogue, summed, tileMain, type MatmulSpec, type KernelTemplate } from './spec.ts';
import { list } from '../text.ts';

/** Which part of C a workgroup computes, and how its invocations share it. */
export interface WorkgroupTile {
  /** Rows and columns of C per workgroup, multiples of 4. */
  readonly rows: number;
  readonly cols: number;
  /** Rows per invocation; its columns are four. Invocations number at least rows + cols: staging is one pass. */
  readonly rowsEach: number;
}

const DEPTH = 16;

/** Bytes of workgroup memory that a tile needs. */
export function workgroupBytes({ rows, cols }: WorkgroupTile): number {
  return (rows + cols) * DEPTH * 4;
}

/** Works for every spec and device whose workgroup memory holds `workgroupBytes`. */
export function tiledTemplate(
  spec: MatmulSpec,
  { rows, cols, rowsEach }: WorkgroupTile,
  vector: boolean,
): KernelTemplate {
  const options = { four: true, guardK: true };
  const pairs = spec.terms.map((_, t) => [operandOf(spec, t, 'a', options), operandOf(spec, t, 'b', options)] as const);
  const operands = pairs.flat();
  const lanesPerRow = cols / 4;
  const rowStep = rows / rowsEach;
  const wgsl = `// Four neighbours along k, [row][k / 4], and four along n, [k][col / 4].
var<workgroup> a_tile: array<vec4<f32>, ${(rows * DEPTH) / 4}>;
var<workgroup> b_tile: array<vec4<f32>, ${(cols * DEPTH) / 4}>;

${operandFunctions(spec, operands, vector)}

${tileMain(spec, rowStep * lanesPerRow, 'local_invocation_index', 'id')}
  let tile_row = tile % p.tiles_m * ${rows}u;
  let tile_col = tile / p.tiles_m * ${cols}u;
  let x = id % ${lanesPerRow}u;
  let y = id / ${lanesPerRow}u;
  let col = tile_col + x * 4u;
  var sums = array<vec4<f32>, ${rowsEach}>();
${summed(
  spec,
  pairs.map(([a, b], t) => {
    const tile = { rows, cols, rowsEach };
    return dropsProduct(spec, t) ? droppedLoop(a, b, t, tile) : productLoop(a, b, t, tile, 'sums');
  }),
)}
  for (var i = 0u; i < ${rowsEach}u; i++) {
    let row = tile_row + y + i * ${rowStep}u;
    ${callEpilogue('sums[i]', vector)}
  }
}`;
  return { enables: [], wgsl, vectorBindings: vectorNames(operands), tile: [rows, cols] };
}

/** The same for a term whose product is dropped: it is summed up apart. */
function droppedLoop(a: Operand, b: Operand, t: number, tile: WorkgroupTile): string {
  const { rows, rowsEach } = tile;
  return `  var dropped_${t} = array<vec4<f32>, ${rowsEach}>();
${productLoop(a, b, t, tile, `dropped_${t}`)}
  for (var i = 0u; i < ${rowsEach}u; i++) { sums[i] += dropped_${t}[i] * drop_${t}(tile_row + y + i * ${rows / rowsEach}u, col); }`;
}

function productLoop(a: Operand, b: Operand, t: number, { rows, cols, rowsEach }: WorkgroupTile, sums: string): string {
  const quads = DEPTH / 4;
  return `  for (var k = 0u; k < p.k${t}; k += ${DEPTH}u) {
    if (id < ${rows}u) {
      ${block('id', rows, a.kContiguous)}
      ${stage(a, 'k + 4u * depth', 'tile_row + 4u * at', (d) => `a_tile[(4u * at + ${d}) * ${quads}u + depth]`, a.kContiguous)}
    } else if (id < ${rows + cols}u) {
      ${block(`(id - ${rows}u)`, cols, b.kContiguous)}
      ${stage(b, 'k + 4u * depth', 'tile_col + 4u * at', (d) => `b_tile[(4u * depth + ${d}) * ${cols / 4}u + at]`, !b.kContiguous)}
    }
    workgroupBarrier();
    let depths = min(${quads}u, (p.k${t} - k + 3u) / 4u);
    for (var depth = 0u; depth < depths; depth++) {
      let b = mat4x4<f32>(${list(4, (d) => `b_tile[(4u * depth + ${d}u) * ${cols / 4}u + x]`)});
      for (var i = 0u; i < ${rowsEach}u; i++) { ${sums}[i] += b * a_tile[(y + i * ${rows / rowsEach}u) * ${quads}u + depth]; }
    }
    workgroupBarrier();
  }`;
}

/** Which 4×4 block of the tile an invocation stages; neighbours in memory go to neighbours. */
function block(id: string, extent: number, kContiguous: boolean): string {
  const quads = DEPTH / 4;
  return kContiguous
    ? `let depth = ${id} % ${quads}u; let at = ${id} / ${quads}u;`
    : `let depth = ${id} / ${extent / 4}u; let at = ${id} % ${extent / 4}u;`;
}

/** Copies a 4×4 block into workgroup memory, transposed where it lies the other way there. */
function stage(operand: Operand, k: string, at: string, slot: (d: string) => string, asIs: boolean): string {
  const load = (d: string) =>
    operand.kContiguous ? `load_${operand.name}(${k}, ${at} + ${d})` : `load_${operand.name}(${k} + ${d}, ${at})`;
  if (asIs) return `for (var d = 0u; d < 4u; d++) { ${slot('d')} = ${load('d')}; }`;
  return `let turned = transpose(mat4x4<f32>(${['0u', '1u', '2u', '3u'].map(load).join(', ')}));
      for (var d = 0u; d < 4u; d++) { ${slot('d')} = turned[d]; }`;
}
