/** Room: kernels/matmul. What a matrix product is asked to be, and what a template gives back. */
import type { Fragment } from '../fragment.ts';

/** Dropout inside a product, see drop.ts. */
export interface ProductDrop {
  /** What is dropped: an operand, counted as it lies in memory, or the product of the term, counted as C. */
  readonly of: 'a' | 'b' | 'product';
  readonly rate: number;
  /** What tells this dropout from others of the step, for each product of a batch. */
  readonly streams: readonly number[];
  /** Whether the rows are those of a batch from a token on; `FIRST_TOKEN_INPUT` says which. */
  readonly fromToken?: boolean;
}

/** One product A·B of a sum. `a` and `b` name the dimensions as they lie in memory: the last one is contiguous. */
export interface MatmulTerm {
  readonly k: number;
  readonly a: 'mk' | 'km';
  readonly b: 'kn' | 'nk';
  readonly aType: 'f32' | 'f16';
  readonly bType: 'f32' | 'f16';
  readonly drop?: ProductDrop;
}

/** Products of one shape in one kernel; what each has of its own lies side by side. */
export interface ProductBatch {
  readonly count: number;
  /** Per operand a0, b0, a1, … then per input of the epilogue: whether each product has its own, or all have one. */
  readonly each: readonly boolean[];
  /** One result, the sum of all products, in place of one result each. */
  readonly sum?: boolean;
}

/** C [m, n] as the sum of one or more products, or a batch of such. */
export interface MatmulSpec {
  readonly m: number;
  readonly n: number;
  readonly terms: readonly MatmulTerm[];
  /** With dropout, `RANDOM_INPUTS` are among its inputs, with `fromToken` also `FIRST_TOKEN_INPUT`. */
  readonly epilogue?: Fragment;
  /** Inputs of the epilogue that are not numbers must be each product's own. */
  readonly batch?: ProductBatch;
}

/** The shape-dependent half of a module: everything but declarations, prelude and the epilogue's function. */
export interface KernelTemplate {
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

/**
 * The start of every `main`: the tile's number in `tile`, tiles of one column following each other; in a batch, `batch` is set.
 * @param builtin what numbers the invocations, as `name`
 */
export function tileMain({ batch }: MatmulSpec, workgroupSize: number, builtin: string, name: string): string {
  const apart = batch && !batch.sum;
  return `@compute @workgroup_size(${workgroupSize})
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(${builtin}) ${name}: u32,
) {
${apart ? TILE_OF_BATCH : TILE}`;
}

const TILE = `  let tile = wid.y * groups.x + wid.x;
  if (tile >= p.tiles_m * p.tiles_n) { return; }`;

const TILE_OF_BATCH = `  let number = wid.y * groups.x + wid.x;
  let tile = number % (p.tiles_m * p.tiles_n);
  let product = number / (p.tiles_m * p.tiles_n);
  if (product >= p.batch) { return; }
  batch = product;`;

/** Declares the number of the product in its batch, and passes the epilogue on to that product's part of the results. */
export function batchHead({ batch }: MatmulSpec, name: string): string {
  if (!batch) return '';
  if (batch.sum) return 'var<private> batch: u32;\n';
  return `var<private> batch: u32;
fn epilogue(index: u32, row: u32, col: u32, acc: V) {
  ${name}(batch * p.m * p.n + index, batch * p.m + row, batch * p.n + col, acc);
}
`;
}

/** The loops that add products up: once, or for every part of a sum over the batch. */
export function summed({ batch }: MatmulSpec, loops: readonly string[]): string {
  const once = loops.join('\n');
  return batch?.sum ? `for (var part = 0u; part < p.batch; part++) {\n  batch = part;\n${once}\n}` : once;
}

/** Calls the epilogue for `acc`, a WGSL expression of four neighbours at (row, col), where they lie within C. */
export function callEpilogue(acc: string, vector: boolean): string {
  return vector
    ? `if (row < p.m && col < p.n) { epilogue(row * p.n + col, row, col, ${acc}); }`
    : `if (row < p.m) {
      for (var d = 0u; d < 4u && col + d < p.n; d++) { epilogue(row * p.n + col + d, row, col + d, ${acc}[d]); }
    }`;
}
