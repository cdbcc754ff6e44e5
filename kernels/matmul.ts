/**
 * Room: kernels. Matrix products: one skeleton per kind of device, operands read by load functions, everything that is
 * done to the result spliced in as an epilogue.
 */
import { assemble, u32Params } from './assemble.ts';
import { fragmentBytes, fragmentFlops, hostFragment } from './fragment-host.ts';
import type { Fragment } from './fragment.ts';
import { BYTES, spread, type Binding, type DeviceTraits, type Kernel } from './kernel.ts';
import { broadcastSkeleton, type BroadcastTile } from './matmul/broadcast.ts';
import { panelBytes, panelSkeleton, type PanelTile } from './matmul/panel.ts';
import type { MatmulSpec, MatmulTerm, Skeleton } from './matmul/spec.ts';
import { tiledSkeleton, workgroupBytes, type WorkgroupTile } from './matmul/tiled.ts';

export type { MatmulSpec, MatmulTerm } from './matmul/spec.ts';

const STORE: Fragment = { inputs: [], body: [], outputs: [{ name: 'c', dtype: 'f32', value: 'acc' }] };

/**
 * C[m,n] = epilogue( Σ_t A_t · B_t ), accumulated in f32.
 *
 * Bindings in order: a0, b0, a1, b1, … then the epilogue's inputs and outputs (see `HostedFragment.bindings`); without
 * an epilogue one f32 output `c`. The epilogue's own names must not begin like a0, b0 or load_.
 */
export function matmul(spec: MatmulSpec, traits: DeviceTraits): Kernel {
  const { m, n, terms } = spec;
  const epilogue = spec.epilogue ?? STORE;
  const vector = n % 4 === 0;
  const hosted = hostFragment(epilogue, {
    name: 'epilogue',
    size: m * n,
    cols: n,
    vector,
    acc: true,
    result: 'store',
  });
  const skeleton = chooseSkeleton(spec, traits, vector);
  const tiles = [Math.ceil(m / skeleton.tile[0]), Math.ceil(n / skeleton.tile[1])] as const;
  const depths = Object.fromEntries(terms.map(({ k }, t) => [`k${t}`, k]));
  const depth = terms.reduce((sum, { k }) => sum + k, 0);
  return assemble({
    name: `matmul.${terms.map(({ a, b }) => `${a === 'mk' ? 'n' : 't'}${b === 'kn' ? 'n' : 't'}`).join('+')}`,
    enables: skeleton.enables,
    vector,
    vectorBindings: [...skeleton.vectorBindings, ...hosted.vectorBindings],
    body: `${hosted.wgsl}\n${skeleton.wgsl}`,
    bindings: [...terms.flatMap(operandBindings), ...hosted.bindings],
    params: [
      ...u32Params({ m, n, ...depths, tiles_m: tiles[0], tiles_n: tiles[1], ...skeleton.params }),
      ...hosted.params,
    ],
    workgroups: spread(tiles[0] * tiles[1]),
    flops: 2 * m * n * depth + fragmentFlops(epilogue, m * n),
    bytes: operandBytes(spec) + fragmentBytes(epilogue, m * n, 'store'),
  });
}

function operandBindings({ aType, bType }: MatmulTerm, t: number): Binding[] {
  return [
    { name: `a${t}`, dtype: aType, role: 'in' },
    { name: `b${t}`, dtype: bType, role: 'in' },
  ];
}

function operandBytes({ m, n, terms }: MatmulSpec): number {
  return terms.reduce((sum, { k, aType, bType }) => sum + m * k * BYTES[aType] + k * n * BYTES[bType], 0);
}

function chooseSkeleton(spec: MatmulSpec, traits: DeviceTraits, vector: boolean): Skeleton {
  const size = traits.subgroupSize;
  if (traits.software && size >= 4 && spec.m >= PANEL_ROWS && spec.n > 16) {
    const tile = panelTile(spec, traits);
    return panelSkeleton(spec, tile, panelRows(spec, tile, size), size, vector);
  }
  if (traits.software && size >= 4) return broadcastSkeleton(spec, broadcastTile(spec, size), size, vector);
  return tiledSkeleton(spec, workgroupTile(spec, traits), vector);
}

/** Workgroups that keep the cores of a CPU busy to the end. */
const ENOUGH_WORKGROUPS = 8;

function broadcastTile({ m, n }: MatmulSpec, size: number): BroadcastTile {
  if (n <= 16 && m > n) {
    const rows = [4, 2].find((r) => m >= r * size * ENOUGH_WORKGROUPS) ?? 1;
    return { lanes: 'm', rows, quads: Math.ceil(n / 4) };
  }
  const fits = (rows: number) => m > rows / 2 && (m / rows) * (n / (4 * size)) >= ENOUGH_WORKGROUPS;
  return { lanes: 'n', rows: [32, 16].find(fits) ?? 8 };
}

/** From how many rows of C on a panel of B is used often enough. */
const PANEL_ROWS = 64;

function panelTile({ n }: MatmulSpec, { subgroupSize: size, workgroupMemory }: DeviceTraits): PanelTile {
  const groups = size < 16 && n > 4 * size ? 2 : 1;
  return { groups, maxRows: Math.min(128, Math.floor(workgroupMemory / panelBytes({ groups, maxRows: 1 }, size))) };
}

/** Rows of C per workgroup: as many as there may be, but alike, and for enough workgroups. */
function panelRows({ m, n }: MatmulSpec, { groups, maxRows }: PanelTile, size: number): number {
  const across = Math.ceil(n / (4 * size * groups));
  const tiles = Math.max(Math.ceil(m / maxRows), Math.min(Math.ceil(ENOUGH_WORKGROUPS / across), Math.floor(m / 32)));
  return Math.ceil(m / tiles);
}

function workgroupTile({ m, n }: MatmulSpec, { workgroupMemory }: DeviceTraits): WorkgroupTile {
  if (n <= 16) return { rows: 128, cols: 16, rowsEach: 2 };
  if (m <= 16) return { rows: 16, cols: 128, rowsEach: 2 };
  const large: WorkgroupTile = { rows: 128, cols: 64, rowsEach: 8 };
  const many = (m / large.rows) * (n / large.cols) >= 128;
  return many && workgroupBytes(large) <= workgroupMemory ? large : { rows: 64, cols: 64, rowsEach: 4 };
}
