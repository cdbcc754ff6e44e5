/** Room: kernels. What every generator is given and gives back: `DeviceTraits`, and a `Kernel` with its bindings and uniforms. */

import type { SubgroupMatrixConfig } from './matmul/subgroup-matrix-syntax.ts';

/** Storage types of tensors. Arithmetic is in f32; f16 is a storage format (see `DeviceTraits.matrix` for the one exception). */
export type DType = 'f32' | 'f16' | 'i32' | 'u32';

/** Bytes of one element. */
export const BYTES: Record<DType, number> = { f32: 4, f16: 2, i32: 4, u32: 4 };

/** What a generator may know of the device it writes for: all that its choices depend on. */
export interface DeviceTraits {
  /** Lanes of a subgroup; 0 where the device has no `subgroups` feature or the size is not fixed. */
  readonly subgroupSize: number;
  /** Whether the device has `shader-f16`: bindings may be f16. */
  readonly f16: boolean;
  /** A CPU rasteriser such as lavapipe: loads are dear, workgroup memory is slow. */
  readonly software: boolean;
  /** Storage bindings that one kernel may have. */
  readonly maxStorageBuffers: number;
  /** Bytes of workgroup memory. */
  readonly workgroupMemory: number;
  /** What the device's matrix units multiply, where it has some that take f16 and sum in f32. */
  readonly matrix?: SubgroupMatrixConfig;
  /** Whether products may round f32 operands to f16 for them. */
  readonly allowF16Matmul?: boolean;
}

/** One storage binding. `inout` is a buffer both read and overwritten. */
export interface Binding {
  readonly name: string;
  readonly dtype: DType;
  readonly role: 'in' | 'out' | 'inout';
}

/** One member of the kernel's uniform block. */
export interface Param {
  readonly name: string;
  readonly type: 'u32' | 'i32' | 'f32';
  /** Several values are an `array<vec4<TYPE>>`, element i being `p.NAME[i / 4u][i % 4u]`. */
  readonly value: number | readonly number[];
}

/** A compute kernel ready to be compiled: entry point `main`, everything in group 0. */
export interface Kernel {
  /** Family name shown in profiles, e.g. `matmul.nt`. */
  readonly name: string;
  /** The whole module. Equal sources share one pipeline, so sizes belong in `params`, not in the text. */
  readonly wgsl: string;
  /** Storage binding i is `@binding(i)`; the uniform block, where `params` is not empty, follows them. */
  readonly bindings: readonly Binding[];
  readonly params: readonly Param[];
  readonly workgroups: readonly [number, number, number];
  /** Arithmetic operations, and bytes that must cross memory at least once: the kernel's roofline (Williams et al. 2009). */
  readonly flops: number;
  readonly bytes: number;
}

/** WebGPU's limit on each dispatch dimension. A dispatch over it silently does nothing. */
export const MAX_WORKGROUPS = 65535;

/**
 * Spreads `count` workgroups over two dimensions where one would be over the limit.
 * The kernel recovers its number as `wid.y * num_workgroups.x + wid.x` (`mainHead` does) and must guard against numbers ≥ count.
 */
export function spread(count: number): [number, number, number] {
  if (count <= MAX_WORKGROUPS) return [Math.max(count, 1), 1, 1];
  const rows = Math.ceil(count / MAX_WORKGROUPS);
  return [Math.ceil(count / rows), rows, 1];
}

/**
 * Declares storage bindings and the uniform block `p`.
 * Every storage binding is `read_write`: activations share one arena buffer, and WebGPU forbids binding a buffer both
 * `read` and `read_write` in one dispatch, while several disjoint `read_write` ranges are allowed.
 * @param vector names of the bindings to be declared as arrays of vec4 (their length must be a multiple of 4)
 */
export function declare(
  bindings: readonly Binding[],
  params: readonly Param[],
  vector: ReadonlySet<string> = new Set(),
): string {
  const lines: string[] = [];
  if (bindings.some((b) => b.dtype === 'f16')) lines.push('enable f16;');
  bindings.forEach((b, i) => {
    const type = vector.has(b.name) ? `vec4<${b.dtype}>` : b.dtype;
    lines.push(`@group(0) @binding(${i}) var<storage, read_write> ${b.name}: array<${type}>;`);
  });
  if (params.length > 0) {
    const member = ({ name, type, value }: Param) =>
      `${name}: ${typeof value === 'number' ? type : `array<vec4<${type}>, ${Math.ceil(value.length / 4)}>`}`;
    lines.push(`struct Params { ${params.map(member).join(', ')} }`);
    lines.push(`@group(0) @binding(${bindings.length}) var<uniform> p: Params;`);
  }
  return lines.join('\n');
}

/** The bytes of the uniform block of `params`, in their order, padded to 16; arrays begin at multiples of 16 and fill them. */
export function packParams(params: readonly Param[]): ArrayBuffer {
  const words: { readonly type: Param['type']; readonly value: number }[] = [];
  const align = (): void => {
    while (words.length % 4 > 0) words.push({ type: 'u32', value: 0 });
  };
  for (const { type, value } of params) {
    if (typeof value === 'number') words.push({ type, value });
    else {
      align();
      words.push(...value.map((one) => ({ type, value: one })));
      align();
    }
  }
  align();
  const view = new DataView(new ArrayBuffer(words.length * 4));
  words.forEach(({ type, value }, i) => {
    if (type === 'f32') view.setFloat32(i * 4, value, true);
    else if (type === 'i32') view.setInt32(i * 4, value, true);
    else view.setUint32(i * 4, value, true);
  });
  return view.buffer;
}
