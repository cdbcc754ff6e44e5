/**
 * Room: kernels/matmul. WGSL's experimental subgroup matrices, whose syntax differs between versions of Dawn: everything that
 * knows a word of it is here. A subgroup holds a matrix together; factors are f16, sums f32.
 */

/** A shape the device multiplies: left [m, k] times right [k, n]. */
export interface SubgroupMatrixConfig {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly syntax: SubgroupMatrixSyntax;
}

/** Rows, columns and depth of a matrix unit’s product, and its dtypes. */
export type SubgroupMatrixShape = Omit<SubgroupMatrixConfig, 'syntax'>;

/** Where a matrix lies in a workgroup array: its first element and the elements from one row (column) to the next. */
export interface MatrixAddress {
  readonly array: string;
  readonly offset: string;
  readonly stride: number;
}

/** Statements on matrices in variables. */
export interface SubgroupMatrixSyntax {
  readonly name: string;
  readonly enables: readonly string[];
  readonly directives: readonly string[];
  /** Declares a sum of zeros. */
  zero(name: string, shape: SubgroupMatrixShape): string;
  /** Declares a factor and loads it from an f16 array. @param rows whether rows, not columns, are contiguous */
  load(name: string, side: 'left' | 'right', shape: SubgroupMatrixShape, from: MatrixAddress, rows: boolean): string;
  /** sum += left · right */
  multiplyAdd(sum: string, left: string, right: string, shape: SubgroupMatrixShape): string;
  /** Stores a sum into an f32 array, row by row. */
  store(sum: string, shape: SubgroupMatrixShape, to: MatrixAddress): string;
}

const EXTENSION = 'chromium_experimental_subgroup_matrix';
/** The feature's name in the API. */
export const SUBGROUP_MATRIX_FEATURE = 'chromium-experimental-subgroup-matrix';

/** Types are written columns first. */
function typeOf(side: 'left' | 'right', { m, n, k }: SubgroupMatrixShape): string {
  return side === 'left' ? `subgroup_matrix_left<f16, ${k}, ${m}>` : `subgroup_matrix_right<f16, ${n}, ${k}>`;
}

const common = {
  enables: ['f16', 'subgroups', EXTENSION],
  // Which subgroup an invocation belongs to follows from its index, which the compiler's analysis cannot see.
  directives: ['diagnostic(off, chromium.subgroup_matrix_uniformity);'],
  zero: (name: string, { m, n }: SubgroupMatrixShape) => `var ${name}: subgroup_matrix_result<f32, ${n}, ${m}>;`,
  multiplyAdd: (sum: string, left: string, right: string) =>
    `${sum} = subgroupMatrixMultiplyAccumulate(${left}, ${right}, ${sum});`,
};

/** The syntaxes known, the newest first. */
export const SUBGROUP_MATRIX_SYNTAXES: readonly SubgroupMatrixSyntax[] = [
  {
    ...common,
    name: 'layout as a template parameter',
    load: (name, side, shape, { array, offset, stride }, rows) =>
      `let ${name} = subgroupMatrixLoad<${typeOf(side, shape)}, ${rows ? 'row_major' : 'col_major'}>(&${array}, ${offset}, ${stride}u);`,
    store: (sum, _shape, { array, offset, stride }) =>
      `subgroupMatrixStore<row_major>(&${array}, ${offset}, ${sum}, ${stride}u);`,
  },
  {
    ...common,
    name: 'layout as an argument',
    load: (name, side, shape, { array, offset, stride }, rows) =>
      `let ${name} = subgroupMatrixLoad<${typeOf(side, shape)}>(&${array}, ${offset}, ${!rows}, ${stride}u);`,
    store: (sum, _shape, { array, offset, stride }) =>
      `subgroupMatrixStore(&${array}, ${offset}, ${sum}, false, ${stride}u);`,
  },
];

/** A module that uses all there is, to see whether a compiler takes the syntax. */
export function subgroupMatrixProbe({ syntax, ...shape }: SubgroupMatrixConfig, subgroupSize: number): string {
  const { m, n, k } = shape;
  const factor = (array: string, stride: number): MatrixAddress => ({ array, offset: '0u', stride });
  return `${[...syntax.enables.map((name) => `enable ${name};`), ...syntax.directives].join('\n')}
@group(0) @binding(0) var<storage, read_write> out: array<f32>;
var<workgroup> a: array<f16, ${m * k}>;
var<workgroup> b: array<f16, ${k * n}>;
var<workgroup> c: array<f32, ${m * n}>;
@compute @workgroup_size(${subgroupSize})
fn main(@builtin(local_invocation_index) id: u32) {
  ${syntax.zero('sum', shape)}
  ${syntax.load('left', 'left', shape, factor('a', k), true)}
  ${syntax.load('right', 'right', shape, factor('b', k), false)}
  ${syntax.multiplyAdd('sum', 'left', 'right', shape)}
  ${syntax.store('sum', shape, factor('c', n))}
  workgroupBarrier();
  out[id] = c[id];
}`;
}
