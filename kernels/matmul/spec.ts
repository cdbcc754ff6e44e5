/** Room: kernels/matmul. What a matrix product is asked to be, and what a skeleton gives back. */
import type { Fragment } from '../fragment.ts';

/** One product A·B of a sum. `a` and `b` name the dimensions as they lie in memory: the last one is contiguous. */
export interface MatmulTerm {
  readonly k: number;
  readonly a: 'mk' | 'km';
  readonly b: 'kn' | 'nk';
  readonly aType: 'f32' | 'f16';
  readonly bType: 'f32' | 'f16';
}

export interface MatmulSpec {
  readonly m: number;
  readonly n: number;
  readonly terms: readonly MatmulTerm[];
  readonly epilogue?: Fragment;
}

/** The shape-dependent half of a module: everything but declarations, prelude and the epilogue's function. */
export interface Skeleton {
  /** Language extensions, as `enable` directives. */
  readonly enables: readonly string[];
  /** Further directives. */
  readonly directives?: readonly string[];
  /** Load functions and `main`, which calls the epilogue. */
  readonly wgsl: string;
  /** Operands to be declared as arrays of vec4. */
  readonly vectorBindings: readonly string[];
  /** Rows and columns of C that one workgroup computes. */
  readonly tile: readonly [rows: number, cols: number];
  /** u32 uniforms of its own. */
  readonly params?: Readonly<Record<string, number>>;
}

/** The start of every `main`: the tile's number in `tile`, tiles of one column following each other. */
export const TILE_GUARD = `  let tile = wid.y * groups.x + wid.x;
  if (tile >= p.tiles_m * p.tiles_n) { return; }`;

/** Calls the epilogue for `acc`, a WGSL expression of four neighbours at (row, col), where they lie within C. */
export function callEpilogue(acc: string, vector: boolean): string {
  return vector
    ? `if (row < p.m && col < p.n) { epilogue(row * p.n + col, row, col, ${acc}); }`
    : `if (row < p.m) {
      for (var d = 0u; d < 4u && col + d < p.n; d++) { epilogue(row * p.n + col + d, row, col + d, ${acc}[d]); }
    }`;
}
