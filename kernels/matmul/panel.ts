/**
 * Room: kernels/matmul. The template for CPU rasterisers and a C of many rows. Measured there: a load from storage costs ten
 * instructions an element, one from workgroup memory four, an operand that stays in the lane's own memory none; a sum carried
 * round a loop is blended under the execution mask once per turn.
 *
 * So a workgroup, one subgroup, first loads a panel of B, some steps of k for its lanes' own columns. Then it walks its rows:
 * the lanes load a row of A together, each another part, spread it with subgroupBroadcast, and run through the whole panel
 * without a branch. Between panels the sums of a row wait in workgroup memory.
 */
import { each, list, range } from '../text.ts';
import { operandOf, operandFunctions, vectorNames, type Operand } from './operand.ts';
import { dropsProduct } from './drop.ts';
import { callEpilogue, summed, tileMain, type MatmulSpec, type KernelTemplate } from './spec.ts';

/** Which part of C a workgroup computes. */
export interface PanelTile {
  /** Most rows of C per workgroup; how many it takes is the uniform `tile_rows`. */
  readonly maxRows: number;
  /** Vectors of four columns per lane, a subgroup apart. */
  readonly groups: number;
}

/** Bytes of workgroup memory that a tile needs. */
export function panelBytes({ maxRows, groups }: PanelTile, size: number): number {
  return maxRows * groups * size * 16;
}

/**
 * Depths of a panel. Each is text of its own; a deeper one costs less per step and more to compile. The deepest, of two groups and eight
 * lanes, is 24 KB: with a row's sums it stays in a first-level cache of 32 KB.
 */
const DEPTHS = [96, 64, 32, 8];

/** What beginning a panel costs, in steps of k. */
const OVERHEAD = 16;

/** The depth that multiplies the fewest zeros and begins the fewest panels. */
function panelDepth(k: number): number {
  const cost = (depth: number) => Math.ceil(k / depth) * (depth + OVERHEAD);
  return DEPTHS.reduce((best, depth) => (cost(depth) < cost(best) ? depth : best));
}

/** For an n above 16. @param rows rows of C per workgroup, at most `tile.maxRows` @param size lanes of the subgroup */
export function panelTemplate(
  spec: MatmulSpec,
  tile: PanelTile,
  rows: number,
  size: number,
  vector: boolean,
): KernelTemplate {
  const { maxRows, groups } = tile;
  const cols = 4 * size * groups;
  const products = spec.terms.map((_, t) => product(spec, t, groups, size));
  const operands = products.flatMap(({ a, b }) => [a, b]);
  const wgsl = `var<workgroup> sums: array<vec4<f32>, ${maxRows * groups * size}>;
${operandFunctions(spec, operands, vector)}

${tileMain(spec, size, 'subgroup_invocation_id', 'lane')}
  let tile_row = tile % p.tiles_m * p.tile_rows;
  let tile_col = tile / p.tiles_m * ${cols}u;
  let rows = min(p.tile_rows, p.m - tile_row);
${summed(
  spec,
  products.map(({ loop }) => loop),
)}
  for (var slot = 0u; slot < rows * ${groups}u; slot++) {
    let row = tile_row + slot / ${groups}u;
    let col = tile_col + (slot % ${groups}u * ${size}u + lane) * 4u;
    ${callEpilogue(`sums[slot * ${size}u + lane]`, vector)}
  }
}`;
  return {
    enables: ['subgroups'],
    wgsl,
    vectorBindings: vectorNames(operands),
    tile: [rows, cols],
    params: { tile_rows: rows, once: 1 },
  };
}

/** One term's operands and its loop over panels. */
function product(spec: MatmulSpec, t: number, groups: number, size: number): { a: Operand; b: Operand; loop: string } {
  const { k, a: layout } = spec.terms[t]!;
  const depth = panelDepth(k);
  const a = operandOf(spec, t, 'a', { four: layout === 'mk', guardK: true });
  const b = operandOf(spec, t, 'b', { four: true, guardK: true });
  const parts = range(Math.ceil(depth / (size * (a.kContiguous ? 4 : 1))));
  const panel = { depth, groups, size, kContiguous: b.kContiguous };
  const drop = dropsProduct(spec, t) ? `drop_${t}` : undefined;
  const loop = `  for (var k = 0u; k < p.k${t}; k += ${depth}u) {
${loadPanel(b, panel)}
    for (var row = 0u; row < rows; row++) {
      ${parts.map((q) => `let part_${q} = load_${a.name}(k + ${stepsOf(a, q, size)}, tile_row + row);`).join('\n      ')}
${each(groups, (j) => sumGroup(a, { ...panel, j, drop }))}
    }
  }`;
  return { a, b, loop };
}

/** Which step of k a lane loads of A into part q. */
function stepsOf({ kContiguous }: Operand, q: number, size: number): string {
  const lane = q === 0 ? 'lane' : `(lane + ${q * size}u)`;
  return kContiguous ? `4u * ${lane}` : lane;
}

/** A's element of step d of the panel, in all lanes. */
function elementOfA({ kContiguous }: Operand, d: number, size: number): string {
  const load = kContiguous ? Math.floor(d / 4) : d;
  const value = `subgroupBroadcast(part_${Math.floor(load / size)}, ${load % size}u)`;
  return kContiguous ? `${value}[${d % 4}]` : value;
}

/** Vectors in one array of a panel, at most: Mesa's compiler compares every use of an array with every other. */
const LARGEST_ARRAY = { alongK: 64, across: 128 };

/** Turns from which on Mesa leaves a loop that indexes an array a loop. Unrolled, each load in it is many branches of the kernel. */
const ROLLED = 33;

interface Panel {
  readonly depth: number;
  readonly groups: number;
  readonly size: number;
  /** Whether B's steps of k are neighbours. */
  readonly kContiguous: boolean;
}

/** How many arrays a panel is cut into, and vectors in each. */
function arraysOf({ depth, groups, kContiguous }: Panel): { readonly count: number; readonly length: number } {
  const vectors = depth * groups;
  const count = Math.ceil(vectors / (kContiguous ? LARGEST_ARRAY.alongK : LARGEST_ARRAY.across));
  return { count, length: vectors / count };
}

/** Vector i of the panel. */
function vectorOf(panel: Panel, i: number): string {
  const { length } = arraysOf(panel);
  return `panel_${Math.floor(i / length)}[${i % length}]`;
}

/** Vectors are four columns of one step of k, or four steps of one column where B lies that way. `p.once` is 1. */
function loadPanel(b: Operand, panel: Panel): string {
  const { depth, groups, size, kContiguous } = panel;
  const { count, length } = arraysOf(panel);
  const stepsOfK = depth / count;
  const vector = (q: number): string => {
    const k = q === 0 ? 'k' : `k + ${q * stepsOfK}u`;
    return kContiguous
      ? `load_${b.name}(${k} + i / ${4 * groups}u * 4u, tile_col + (i / 4u % ${groups}u * ${size}u + lane) * 4u + i % 4u)`
      : `load_${b.name}(${k} + i / ${groups}u, tile_col + (i % ${groups}u * ${size}u + lane) * 4u)`;
  };
  return `${each(count, (q) => `    var panel_${q}: array<vec4<f32>, ${length}>;`)}
    for (var i = 0u; i < ${length}u${length < ROLLED ? ' * p.once' : ''}; i++) {
${each(count, (q) => `      panel_${q}[i] = ${vector(q)};`)}
    }`;
}

/** B's elements of step d of the panel in the lane's group j of columns. */
function elementsOfB(d: number, { j, ...panel }: Group): string {
  if (!panel.kContiguous) return vectorOf(panel, d * panel.groups + j);
  const first = (Math.floor(d / 4) * panel.groups + j) * 4;
  return `vec4(${list(4, (c) => `${vectorOf(panel, first + c)}[${d % 4}]`)})`;
}

interface Group extends Panel {
  /** Its number. */
  readonly j: number;
  /** The function that gives what the panel's products are multiplied by, if they are. */
  readonly drop: string | undefined;
}

/**
 * Adds a panel's products to a row's sums of one group. The groups follow each other whole: products of several in turn are
 * all kept until the first group's sums are stored.
 */
function sumGroup(a: Operand, group: Group): string {
  const { depth, groups, size, j, drop } = group;
  const col = `tile_col + (${j * size}u + lane) * 4u`;
  const lines = range(depth).map((d) => `sum += ${elementOfA(a, d, size)} * ${elementsOfB(d, group)};`);
  return `      {
        let at = (row * ${groups}u + ${j}u) * ${size}u + lane;
        var sum = ${drop ? 'vec4<f32>()' : 'sums[at]'};
        ${lines.join('\n        ')}
        ${drop ? `sums[at] += sum * ${drop}(tile_row + row, ${col})` : 'sums[at] = sum'};
      }`;
}
