/** Room: kernels. What every generator needs to turn its text into a `Kernel`. */
import { declare, type Binding, type DType, type Kernel, type Param } from './kernel.ts';
import { prelude } from './wgsl-lib.ts';

/** A kernel whose text is still without declarations and library functions. */
export interface KernelParts extends Omit<Kernel, 'wgsl'> {
  /** Everything below the declarations and the prelude: functions and `main`. */
  readonly body: string;
  /** Whether V is `vec4<f32>`. */
  readonly vector: boolean;
  /** Bindings declared as arrays of vec4. */
  readonly vectorBindings?: readonly string[];
  /** WGSL extensions the body needs. */
  readonly enables?: readonly string[];
  /** Further directives. */
  readonly directives?: readonly string[];
}

/**
 * Puts together a kernel's text: directives, declarations of bindings and of the uniform block `p`, the library functions that the body
 * calls (see `prelude`), and the body, whose entry point is `main`.
 */
export function assemble({
  body,
  vector,
  vectorBindings,
  enables = [],
  directives = [],
  ...kernel
}: KernelParts): Kernel {
  const declared = declare(kernel.bindings, kernel.params, new Set(vectorBindings));
  const enabled = enables.map((name) => `enable ${name};`);
  // A branch on a value from storage may be the same for a whole workgroup, which the compiler's analysis cannot see.
  if (enables.includes('subgroups')) enabled.push('diagnostic(off, subgroup_uniformity);');
  return { ...kernel, wgsl: [...enabled, ...directives, declared, prelude(body, vector), body].join('\n') };
}

/** Storage bindings of one role and dtype, in order. */
export function bind(role: Binding['role'], dtype: DType, ...names: readonly string[]): Binding[] {
  return names.map((name) => ({ name, dtype, role }));
}

/** Units in which rows of `cols` elements are read: four elements where that divides them, and V is a vec4, else one. */
export function vectorize(cols: number): { readonly vector: boolean; readonly width: number; readonly units: number } {
  const width = cols % 4 === 0 ? 4 : 1;
  return { vector: width === 4, width, units: cols / width };
}

/** u32 members of the uniform block, one per property. */
export function u32Params(values: Readonly<Record<string, number>>): Param[] {
  return Object.entries(values).map(([name, value]) => ({ name, type: 'u32', value }));
}

/** The start of `main`: `group` is the workgroup's number in a `spread` dispatch, `lane` the lane's in its workgroup. */
export function mainHead(workgroupSize: number): string {
  return `@compute @workgroup_size(${workgroupSize})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let group = wid.y * groups.x + wid.x;`;
}
