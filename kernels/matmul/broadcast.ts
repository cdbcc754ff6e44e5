/**
 * Room: kernels/matmul. The template for CPU rasterisers, where a load costs ten multiply-adds and workgroup memory more.
 * A workgroup is one subgroup. Its lanes lie along one dimension of C and load that operand each for itself; the other
 * operand is loaded once per subgroup, a different part by each lane, and spread with subgroupBroadcast. The sums stay in
 * registers.
 */
import { list, range } from '../text.ts';
import { operandOf, operandFunctions, vectorNames, type Operand } from './operand.ts';
import { dropsProduct } from './drop.ts';
import { callEpilogue, summed, tileMain, type MatmulSpec, type KernelTemplate } from './spec.ts';

/** Which part of C a workgroup computes: `rows` rows for each of its lanes. */
export type BroadcastTile =
  /** Lanes have four columns each, side by side, and all the same rows. */
  | { readonly lanes: 'n'; readonly rows: number }
  /** For a C of few columns: lanes have rows of their own, a subgroup apart, and all the same `quads` · 4 columns. */
  | { readonly lanes: 'm'; readonly rows: number; readonly quads: number };

/** Works for every spec. @param size lanes of the subgroup @param vector whether n is a multiple of 4, so that V is a vec4 */
export function broadcastTemplate(
  spec: MatmulSpec,
  tile: BroadcastTile,
  size: number,
  vector: boolean,
): KernelTemplate {
  const products = spec.terms.map((_, t) => product(spec, t, tile, size));
  const operands = products.flatMap(({ a, b }) => [a, b]);
  const alongN = tile.lanes === 'n';
  const quads = alongN ? 1 : tile.quads;
  const shape = alongN ? ([tile.rows, 4 * size] as const) : ([tile.rows * size, 4 * quads] as const);
  const sums = range(tile.rows).map((i) => range(quads).map((j) => sum(i, j)));
  const place = alongN
    ? { rows: 'p.m - tile_row', row: 'tile_row + slot', col: 'tile_col + lane * 4u' }
    : {
        rows: `(p.m - tile_row + ${size - 1}u) / ${size}u`,
        row: `tile_row + lane + slot / ${quads}u * ${size}u`,
        col: `tile_col + slot % ${quads}u * 4u`,
      };
  // Loops of unknown length around one call, which compilers do not unroll: what is called may be long.
  const eachSlot = (before: string, lineOf: (sum: string) => string, after: string): string => `  {
    let slots = min(${tile.rows}u, ${place.rows})${quads === 1 ? '' : ` * ${quads}u`};
    for (var slot = 0u; slot < slots; slot++) {
      let row = ${place.row};
      let col = ${place.col};
      ${before}
      switch slot {
${sums
  .flat()
  .map((c, i, all) => `        ${i < all.length - 1 ? `case ${i}u` : 'default'}: { ${lineOf(c)} }`)
  .join('\n')}
      }
      ${after}
    }
  }`;
  const dropped = (t: number, loop: string): string => `${declareSums(sums, `d${t}_`)}
${loop}
${eachSlot(`let scale = drop_${t}(row, col);`, (c) => `${c} += d${t}_${c} * scale;`, '')}`;
  const wgsl = `${operandFunctions(spec, operands, vector)}

${tileMain(spec, size, 'subgroup_invocation_id', 'lane')}
  let tile_row = tile % p.tiles_m * ${shape[0]}u;
  let tile_col = tile / p.tiles_m * ${shape[1]}u;
${declareSums(sums)}
${summed(
  spec,
  products.map(({ loop }, t) => (dropsProduct(spec, t) ? dropped(t, loop) : loop)),
)}
${eachSlot('var acc: vec4<f32>;', (c) => `acc = ${c};`, callEpilogue('acc', vector))}
}`;
  return {
    enables: ['subgroups'],
    wgsl,
    vectorBindings: vectorNames(operands),
    tile: shape,
  };
}

function declareSums(sums: readonly (readonly string[])[], prefix = ''): string {
  return sums.map((row) => `  ${row.map((c) => `var ${prefix}${c} = vec4<f32>();`).join(' ')}`).join('\n');
}

/** One term's operands and its loop over k, in steps of four. */
function product(
  spec: MatmulSpec,
  t: number,
  tile: BroadcastTile,
  size: number,
): { a: Operand; b: Operand; loop: string } {
  const { k, a: layout } = spec.terms[t]!;
  const guardK = k % 4 !== 0;
  const a = operandOf(spec, t, 'a', { four: layout === 'mk', guardK });
  const b = operandOf(spec, t, 'b', { four: true, guardK });
  const into = dropsProduct(spec, t) ? `d${t}_` : '';
  const lines =
    tile.lanes === 'n'
      ? lanesAlongN(a, b, tile.rows, size, into)
      : lanesAlongM(a, b, tile.rows, tile.quads, size, into);
  const loop = [`  for (var k = 0u; k < p.k${t}; k += 4u) {`, ...lines.map((line) => `    ${line}`), '  }'].join('\n');
  return { a, b, loop };
}

function lanesAlongN(a: Operand, b: Operand, rows: number, size: number, into: string): string[] {
  const column = (d: number) =>
    b.kContiguous
      ? `load_${b.name}(k, ${plus('tile_col + lane * 4u', d)})`
      : `load_${b.name}(${plus('k', d)}, tile_col + lane * 4u)`;
  return [
    ...range(Math.ceil(rows / size)).map((q) => `let part_${q} = ${loadA(a, plus('tile_row + lane', q * size))};`),
    `let b = ${block(column)};`,
    ...range(rows).map((i) => `${into}${sum(i, 0)} += ${times(spread(i, size), 'b', b)};`),
  ];
}

function lanesAlongM(a: Operand, b: Operand, rows: number, quads: number, size: number, into: string): string[] {
  // B's 4 × 4·quads elements of one step are 4·quads vectors in memory: vector `lane + q · size` is loaded into part q.
  const load = (q: number) => {
    const vector = q === 0 ? 'lane' : `(lane + ${q * size}u)`;
    return b.kContiguous
      ? `load_${b.name}(k, tile_col + ${vector})`
      : `load_${b.name}(k + ${vector} / ${quads}u % 4u, tile_col + ${vector} % ${quads}u * 4u)`;
  };
  const column = (j: number) => (d: number) => spread(b.kContiguous ? 4 * j + d : d * quads + j, size);
  return [
    ...range(rows).map((i) => `let a_${i} = ${loadA(a, plus('tile_row + lane', i * size))};`),
    ...range(Math.ceil((4 * quads) / size)).map((q) => `let part_${q} = ${load(q)};`),
    ...range(quads).map((j) => {
      const sums = range(rows).map((i) => `${into}${sum(i, j)} += ${times(`a_${i}`, 'b', b)};`);
      return `{ let b = ${block(column(j))}; ${sums.join(' ')} }`;
    }),
  ];
}

/** The accumulator of a lane's row i and columns 4j … 4j + 3. */
function sum(i: number, j: number): string {
  return `c${i}_${j}`;
}

/** What lane i % size has loaded into part i / size. */
function spread(i: number, size: number): string {
  return `subgroupBroadcast(part_${Math.floor(i / size)}, ${i % size}u)`;
}

/** Four neighbours along k of one row of A. */
function loadA(a: Operand, row: string): string {
  if (a.kContiguous) return `load_${a.name}(k, ${row})`;
  return `vec4<f32>(${list(4, (d) => `load_${a.name}(${plus('k', d)}, ${row})`)})`;
}

/** Four steps by four columns of B as a matrix, whose columns are the vectors that lie in memory. */
function block(column: (d: number) => string): string {
  return `mat4x4<f32>(${list(4, column)})`;
}

/** The product of `loadA` and `block`: four neighbours of C. */
function times(a: string, b: string, { kContiguous }: Operand): string {
  return kContiguous ? `${a} * ${b}` : `${b} * ${a}`;
}

function plus(expression: string, offset: number): string {
  return offset === 0 ? expression : `${expression} + ${offset}u`;
}
