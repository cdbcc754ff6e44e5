/**
 * Room: kernels. Matrix products: one template per kind of device, operands read by load functions, everything that is
 * done to the result spliced in as an epilogue.
 */
import { assemble, bind, u32Params } from './assemble.ts';
import { fragmentBytes, fragmentFlops, emitFragment } from './emit-fragment.ts';
import type { Fragment } from './fragment.ts';
import { BYTES, spread, type DeviceTraits, type Kernel } from './kernel.ts';
import { dropParams, drops, dropsProduct, FIRST_TOKEN_INPUT, RANDOM_INPUTS } from './matmul/drop.ts';
import { broadcastTemplate, type BroadcastTile } from './matmul/broadcast.ts';
import { panelBytes, panelTemplate, type PanelTile } from './matmul/panel.ts';
import { matrixBytes, matrixFits, subgroupMatrixTemplate, type SubgroupMatrixTile } from './matmul/subgroup-matrix.ts';
import { batchHead, type KernelTemplate, type MatmulSpec } from './matmul/spec.ts';
import { tiledTemplate, workgroupBytes, type WorkgroupTile } from './matmul/tiled.ts';
import { usesBroadcast } from './policy.ts';
import { findConfig, nextPowerOfTwo, type KernelConfigs } from './config.ts';

export { FIRST_TOKEN_INPUT, RANDOM_INPUTS };
export type { MatmulSpec, MatmulTerm, ProductBatch, ProductDrop } from './matmul/spec.ts';

const STORE: Fragment = { inputs: [], body: [], outputs: [{ name: 'c', dtype: 'f32', value: 'acc' }] };
const STORE_DROPPED: Fragment = { ...STORE, inputs: RANDOM_INPUTS };

/**
 * C[m,n] = epilogue( Σ_t A_t · B_t ), accumulated in f32.
 *
 * Bindings in order: a0, b0, a1, b1, … then the epilogue's inputs and outputs (see `EmittedFragment.bindings`); without
 * an epilogue `RANDOM_INPUTS`, where a term drops, and one f32 output `c`. The epilogue's own names must not begin like a0, b0 or load_.
 * Flops are 2·m·n·Σk and those of the epilogue; bytes count each operand once. Sums of f16 operands on matrix units are f32 too.
 * @param config a name of `matmulConfigs`; absent: its first
 * @throws Error for another name, and for dropout whose streams are not one per product of the batch
 */
export function matmul(spec: MatmulSpec, traits: DeviceTraits, config?: string): Kernel {
  const { m, n, terms } = spec;
  const epilogue = spec.epilogue ?? (drops(spec) ? STORE_DROPPED : STORE);
  const vector = n % 4 === 0;
  const apart = spec.batch !== undefined && spec.batch.sum !== true;
  const emitted = emitFragment(epilogue, {
    name: apart ? 'epilogue_of' : 'epilogue',
    size: m * n,
    cols: n,
    vector,
    acc: true,
    result: 'store',
  });
  const template = findConfig(matmulConfigs(spec, traits), config).template(vector);
  const tiles = [Math.ceil(m / template.tile[0]), Math.ceil(n / template.tile[1])] as const;
  const depths = Object.fromEntries(terms.map(({ k }, t) => [`k${t}`, k]));
  const depth = terms.reduce((sum, { k }) => sum + k, 0);
  const count = spec.batch?.count ?? 1;
  const results = apart ? count : 1;
  return assemble({
    name: `matmul.${terms.map(({ a, b }) => `${a === 'mk' ? 'n' : 't'}${b === 'kn' ? 'n' : 't'}`).join('+')}`,
    enables: template.enables,
    directives: template.directives,
    vector,
    vectorBindings: [...template.vectorBindings, ...emitted.vectorBindings],
    body: `${emitted.wgsl}\n${batchHead(spec, 'epilogue_of')}${template.wgsl}`,
    bindings: [
      ...terms.flatMap(({ aType, bType }, t) => [...bind('in', aType, `a${t}`), ...bind('in', bType, `b${t}`)]),
      ...emitted.bindings,
    ],
    params: [
      ...u32Params({ m, n, ...depths, tiles_m: tiles[0], tiles_n: tiles[1], ...template.params }),
      ...(spec.batch ? u32Params({ batch: count }) : []),
      ...dropParams(spec),
      ...emitted.params,
    ],
    workgroups: spread(tiles[0] * tiles[1] * results),
    flops: 2 * count * m * n * depth + results * fragmentFlops(epilogue, m * n),
    bytes: operandBytes(spec) + results * fragmentBytes(epilogue, m * n, 'store'),
  });
}

function operandBytes({ m, n, terms, batch }: MatmulSpec): number {
  const copies = (operand: number): number => (batch?.each[operand] ? batch.count : 1);
  return terms.reduce(
    (sum, { k, aType, bType }, t) =>
      sum + copies(2 * t) * m * k * BYTES[aType] + copies(2 * t + 1) * k * n * BYTES[bType],
    0,
  );
}

/** One way to compute a product: a template with its tile. */
export interface MatmulConfig {
  readonly name: string;
  /** The template for rows that are read one by one or in fours. */
  template(vector: boolean): KernelTemplate;
}

/** The ways to compute a product on a device, the best guess first. */
export function matmulConfigs(spec: MatmulSpec, traits: DeviceTraits): MatmulConfig[] {
  const size = traits.subgroupSize;
  if (usesBroadcast(traits)) {
    const broadcast = broadcastTiles(spec, size).map((tile) => ({
      name: `${tile.lanes}${tile.rows}`,
      template: (vector: boolean) => broadcastTemplate(spec, tile, size, vector),
    }));
    const panel = panelConfigs(spec, traits);
    return panelIsBest(spec) ? [...panel, ...broadcast] : [...broadcast, ...panel];
  }
  const tiled = workgroupTiles(spec, traits).map((tile) => ({
    name: `${tile.rows}x${tile.cols}x${tile.rowsEach}`,
    template: (vector: boolean) => tiledTemplate(spec, tile, vector),
  }));
  return [...subgroupMatrixConfigs(spec, traits), ...tiled];
}

/** Subgroups of 32 or 64 lanes down and across; the first that is not wasted on a small C is the best guess. */
const MATRIX_TILES: readonly SubgroupMatrixTile[] = [
  { rows: 128, cols: 128, down: 4, across: 2 },
  { rows: 128, cols: 64, down: 4, across: 2 },
  { rows: 64, cols: 64, down: 2, across: 2 },
  { rows: 32, cols: 32, down: 2, across: 1 },
];

/** By matrix units, where operands are f16 or may be rounded to it. Thin products gain nothing from them. */
function subgroupMatrixConfigs(spec: MatmulSpec, { matrix: unit, ...traits }: DeviceTraits): MatmulConfig[] {
  const half = spec.terms.every(({ aType, bType }) => aType === 'f16' && bType === 'f16');
  const lanes = traits.subgroupSize;
  if (!unit || lanes === 0 || !(half || traits.allowF16Matmul) || Math.min(spec.m, spec.n) < 32) return [];
  if (spec.terms.some((_, t) => dropsProduct(spec, t))) return [];
  const fitting = MATRIX_TILES.filter(
    (tile) =>
      matrixFits(tile, unit) &&
      matrixBytes(tile, unit) <= traits.workgroupMemory &&
      tile.down * tile.across * lanes <= MAX_INVOCATIONS,
  );
  const busy = fitting.find(({ rows, cols }) => (spec.m / rows) * (spec.n / cols) >= 64) ?? fitting.at(-1);
  return (busy ? leading(busy, fitting, (a, b) => a === b) : []).map((tile) => ({
    name: `matrix${tile.rows}x${tile.cols}`,
    template: (vector) => subgroupMatrixTemplate(spec, tile, unit, lanes, vector),
  }));
}

/** Whether a term may drop its product at no loss: the sums of matrix units are out of reach until they are drained. */
export function mayDropProducts({ matrix, allowF16Matmul }: DeviceTraits): boolean {
  return !(matrix && allowF16Matmul);
}

/** Of a workgroup, on every device. */
const MAX_INVOCATIONS = 256;

/** The same as a task for the tuner. The epilogue does not count: it runs once per element of C. */
export function matmulTuningTask({ m, n, terms, batch }: MatmulSpec, traits: DeviceTraits): KernelConfigs {
  const classed: MatmulSpec = {
    m: classOf(m),
    n: classOf(n),
    terms: terms.map((term) => ({ ...term, k: classOf(term.k) })),
    batch,
  };
  const products = classed.terms.map(
    ({ k, a, b, aType, bType, drop }) => `${a}·${b} k${k} ${aType}·${bType}${drop ? ` dropping ${drop.of}` : ''}`,
  );
  return {
    family: 'matmul',
    task: `${batch ? `${batch.sum ? 'sum of ' : ''}${batch.count} × ` : ''}m${classed.m} n${classed.n} ${products.join(' + ')}`,
    names: matmulConfigs({ m, n, terms, batch }, traits).map(({ name }) => name),
    source: (name) => {
      const known = matmulConfigs(classed, traits).some((config) => config.name === name);
      return known ? matmul(classed, traits, name).wgsl : '';
    },
  };
}

/** Whether rows can be read four elements at a time shows in the source: sizes that are no multiple of four stay none. */
function classOf(size: number): number {
  return size % 4 === 0 ? nextPowerOfTwo(size) : Math.max(1, nextPowerOfTwo(size) - 1);
}

/** `first` before the others. */
function leading<T>(first: T, all: readonly T[], same: (a: T, b: T) => boolean): T[] {
  return [first, ...all.filter((other) => !same(first, other))];
}

/** Workgroups that keep the cores of a CPU busy to the end. */
const ENOUGH_WORKGROUPS = 8;

function broadcastTiles({ m, n }: MatmulSpec, size: number): BroadcastTile[] {
  const quads = Math.ceil(n / 4);
  // Generation multiplies a row or a few: more rows than there are would cost as much again as the loads.
  const least = [1, 4].find((rows) => m <= rows) ?? 8;
  const alongN = [...new Set([32, 16, 8, least])].map((rows): BroadcastTile => ({ lanes: 'n', rows }));
  const alongM = [4, 2, 1].map((rows): BroadcastTile => ({ lanes: 'm', rows, quads }));
  const same = (a: BroadcastTile, b: BroadcastTile): boolean => a.lanes === b.lanes && a.rows === b.rows;
  if (n <= 16 && m > n) {
    const rows = [4, 2].find((r) => m >= r * size * ENOUGH_WORKGROUPS) ?? 1;
    return leading<BroadcastTile>({ lanes: 'm', rows, quads }, alongM, same);
  }
  const fits = (rows: number) => m > rows / 2 && (m / rows) * (n / (4 * size)) >= ENOUGH_WORKGROUPS;
  return leading<BroadcastTile>({ lanes: 'n', rows: [32, 16].find(fits) ?? least }, alongN, same);
}

/** From how many rows of C on a panel of B is used often enough; more where A's rows must be gathered. */
const PANEL_ROWS = { mk: 64, km: 256 };

/** Multiply-adds from which on a panel is used: its text takes seconds to compile, and small products save little by it. */
const PANEL_WORK = 2 ** 24;

function panelIsBest({ m, n, terms, batch }: MatmulSpec): boolean {
  const depth = terms.reduce((sum, { k }) => sum + k, 0);
  const work = m * n * depth * (batch?.count ?? 1);
  return n > 16 && work >= PANEL_WORK && terms.every(({ a }) => m >= PANEL_ROWS[a]);
}

function panelConfigs(spec: MatmulSpec, { subgroupSize: size, workgroupMemory }: DeviceTraits): MatmulConfig[] {
  if (spec.n <= 16) return [];
  const groups = size < 16 && spec.n > 4 * size ? 2 : 1;
  const maxRows = Math.min(128, Math.floor(workgroupMemory / panelBytes({ groups, maxRows: 1 }, size)));
  const tile = { groups, maxRows };
  const template = (vector: boolean) => panelTemplate(spec, tile, panelRows(spec, tile, size), size, vector);
  return [{ name: 'panel', template }];
}

/** Rows of C per workgroup: as many as there may be, but alike, and for enough workgroups. */
function panelRows({ m, n }: MatmulSpec, { groups, maxRows }: PanelTile, size: number): number {
  const across = Math.ceil(n / (4 * size * groups));
  const enough = Math.min(Math.ceil(ENOUGH_WORKGROUPS / across), Math.floor(m / 32));
  return Math.ceil(m / Math.max(Math.ceil(m / maxRows), enough));
}

/** Tiles of up to 256 invocations, what every device has. The first two are what public measurements favour. */
const WORKGROUP_TILES: readonly WorkgroupTile[] = [
  { rows: 128, cols: 64, rowsEach: 8 },
  { rows: 64, cols: 64, rowsEach: 4 },
  { rows: 128, cols: 128, rowsEach: 16 },
  { rows: 64, cols: 64, rowsEach: 8 },
  { rows: 64, cols: 128, rowsEach: 8 },
  { rows: 32, cols: 64, rowsEach: 4 },
];

function workgroupTiles({ m, n }: MatmulSpec, { workgroupMemory }: DeviceTraits): WorkgroupTile[] {
  if (n <= 16) return [2, 1].map((rowsEach) => ({ rows: 64 * rowsEach, cols: 16, rowsEach }));
  if (m <= 16) return [2, 1].map((rowsEach) => ({ rows: 16, cols: 64 * rowsEach, rowsEach }));
  const fitting = WORKGROUP_TILES.filter((tile) => workgroupBytes(tile) <= workgroupMemory);
  const [large, small] = [WORKGROUP_TILES[0]!, WORKGROUP_TILES[1]!];
  const many = (m / large.rows) * (n / large.cols) >= 128;
  return leading(many && fitting.includes(large) ? large : small, fitting, (a, b) => a === b);
}
