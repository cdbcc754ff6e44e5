/**
 * Room: kernels/matmul. The skeleton for CPU rasterisers, where a load costs ten multiply-adds and workgroup memory more.
 * A workgroup is one subgroup. Its lanes lie along one dimension of C and load that operand each for itself; the other
 * operand is loaded once per subgroup, a different part by each lane, and spread with subgroupBroadcast. The sums stay in
 * registers.
 */
import { operandA, operandB, type Operand } from './operand.ts';
import { callEpilogue, TILE_GUARD, type MatmulSpec, type MatmulTerm, type Skeleton } from './spec.ts';

/** Which part of C a workgroup computes. */
export interface BroadcastTile {
  /** The dimension along which lanes lie: `n`, four columns each, or, for a C of few columns, `m`, one row each. */
  readonly lanes: 'm' | 'n';
  /** Rows of C per lane. With lanes along n all lanes have the same rows; along m, they are a subgroup apart. */
  readonly rows: number;
  /** Four-column groups of C per lane. With lanes along n they are four subgroups apart; along m, the same for all. */
  readonly quads: number;
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

export function broadcastSkeleton(spec: MatmulSpec, tile: BroadcastTile, size: number, vector: boolean): Skeleton {
  const products = spec.terms.map((_, t) => product(spec, t, tile, size));
  const operands = products.flatMap(({ a, b }) => [a, b]);
  const alongN = tile.lanes === 'n';
  const rowStep = alongN ? 1 : size;
  const colStep = alongN ? 4 * size : 4;
  const shape = [tile.rows * rowStep, tile.quads * colStep] as const;
  const sums = range(tile.rows).map((i) => range(tile.quads).map((j) => `c${i}_${j}`));
  const wgsl = `${operands.map((o) => o.load).join('\n')}

@compute @workgroup_size(${size})
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
${TILE_GUARD}
  let tile_row = tile % p.tiles_m * ${shape[0]}u;
  let tile_col = tile / p.tiles_m * ${shape[1]}u;
  let first_row = tile_row${alongN ? '' : ' + lane'};
  let first_col = tile_col${alongN ? ' + lane * 4u' : ''};
${sums.map((row) => `  ${row.map((c) => `var ${c} = vec4<f32>();`).join(' ')}`).join('\n')}
${products.map(({ loop }) => loop).join('\n')}
  // Through an array and a loop of unknown length, so that compilers do not unroll the epilogue.
  var sums = array<vec4<f32>, ${tile.rows * tile.quads}>(
${sums.map((row) => `    ${row.join(', ')},`).join('\n')}
  );
  let rows = min(${tile.rows}u, (p.m - tile_row + ${rowStep - 1}u) / ${rowStep}u);
  for (var i = 0u; i < rows * ${tile.quads}u; i++) {
    let row = first_row + i / ${tile.quads}u * ${rowStep}u;
    let col = first_col + i % ${tile.quads}u * ${colStep}u;
    ${callEpilogue('sums[i]', vector)}
  }
}`;
  return {
    enables: ['subgroups'],
    wgsl,
    vectorBindings: operands.filter((o) => o.vector).map((o) => o.name),
    tile: shape,
  };
}

/** One term's operands and its loop over k. */
function product(
  spec: MatmulSpec,
  t: number,
  tile: BroadcastTile,
  size: number,
): { a: Operand; b: Operand; loop: string } {
  const term = spec.terms[t] as MatmulTerm;
  const alongN = tile.lanes === 'n';
  const step = term.k % 4 === 0 && (!alongN || term.b === 'nk') ? 4 : 1;
  const a = operandA(spec, t, { four: step === 4 && term.a === 'mk', guardK: false });
  const b = operandB(spec, t, { four: step === 4 || term.b === 'kn', guardK: false });
  const lines = alongN ? lanesAlongN(a, b, step, tile, size) : lanesAlongM(a, b, step, tile, size);
  const loop = [`  for (var k = 0u; k < p.k${t}; k += ${step}u) {`, ...lines.map((line) => `    ${line}`), '  }'].join(
    '\n',
  );
  return { a, b, loop };
}

function lanesAlongN(a: Operand, b: Operand, step: number, { rows, quads }: BroadcastTile, size: number): string[] {
  return [
    ...range(Math.ceil(rows / size)).map((q) => `let a_${q} = ${loadA(a, step, `tile_row + ${q * size}u + lane`)};`),
    ...range(quads).map((j) => `let b_${j} = ${loadB(b, step, `first_col + ${j * size * 4}u`)};`),
    ...range(rows).map((i) => {
      const sums = range(quads).map((j) => `c${i}_${j} += ${times('a', `b_${j}`, b, step)};`);
      return `{ let a = subgroupBroadcast(a_${Math.floor(i / size)}, ${i % size}u); ${sums.join(' ')} }`;
    }),
  ];
}

function lanesAlongM(a: Operand, b: Operand, step: number, { rows, quads }: BroadcastTile, size: number): string[] {
  // The part of B for one step, in pieces of one load each: piece `lane + q · size` is loaded into part q.
  const pieces = b.kContiguous ? 4 * quads : step * quads;
  const piece = (q: number) => `(lane + ${q * size}u)`;
  const load = (q: number) =>
    b.kContiguous
      ? `load_${b.name}(k, tile_col + ${piece(q)})`
      : `load_${b.name}(k + ${piece(q)} / ${quads}u % ${step}u, tile_col + ${piece(q)} % ${quads}u * 4u)`;
  const spread = (i: number) => `subgroupBroadcast(part_${Math.floor(i / size)}, ${i % size}u)`;
  const quad = (j: number) => {
    if (b.kContiguous)
      return `${step === 4 ? 'mat4x4' : 'vec4'}<f32>(${range(4)
        .map((d) => spread(4 * j + d))
        .join(', ')})`;
    return step === 4
      ? `mat4x4<f32>(${range(4)
          .map((d) => spread(d * quads + j))
          .join(', ')})`
      : spread(j);
  };
  return [
    ...range(rows).map((i) => `let a_${i} = ${loadA(a, step, `first_row + ${i * size}u`)};`),
    ...range(Math.ceil(pieces / size)).map((q) => `let part_${q} = ${load(q)};`),
    ...range(quads).map((j) => {
      const sums = range(rows).map((i) => `c${i}_${j} += ${times(`a_${i}`, 'b', b, step)};`);
      return `{ let b = ${quad(j)}; ${sums.join(' ')} }`;
    }),
  ];
}

/** A's elements of one row for one step over k: an f32 or, for four, a vec4 along k. */
function loadA(a: Operand, step: number, row: string): string {
  if (step === 1 || a.kContiguous) return `load_${a.name}(k, ${row})`;
  return `vec4<f32>(${range(4)
    .map((d) => `load_${a.name}(k + ${d}u, ${row})`)
    .join(', ')})`;
}

/** B's elements of four columns for one step: a vec4 along n or, for four, a matrix whose columns are as B's in memory. */
function loadB(b: Operand, step: number, col: string): string {
  if (!b.kContiguous && step === 1) return `load_${b.name}(k, ${col})`;
  const at = (d: number) => (b.kContiguous ? `k, ${col} + ${d}u` : `k + ${d}u, ${col}`);
  return `${step === 4 ? 'mat4x4' : 'vec4'}<f32>(${range(4)
    .map((d) => `load_${b.name}(${at(d)})`)
    .join(', ')})`;
}

/** The product of `loadA` and `loadB`: four neighbours of C. */
function times(a: string, b: string, { kContiguous }: Operand, step: number): string {
  return step === 4 && !kContiguous ? `${b} * ${a}` : `${a} * ${b}`;
}
