/** Room: kernels. Copies any strided view into a contiguous tensor: transposes, slices, expansions and casts. */
import { assemble, bind, mainHead, u32Params } from './assemble.ts';
import { BYTES, spread, type DeviceTraits, type DType, type Kernel } from './kernel.ts';
import { policyOf } from './policy.ts';
import { list } from './text.ts';

/** A view: shape, strides and offset, as NumPy's and PyTorch's, in elements. */
export interface StridedCopySpec {
  /** Of the output, at most five dimensions. */
  readonly shape: readonly number[];
  /** Input elements from one output element to the next along each dimension; 0 repeats. */
  readonly inStrides: readonly number[];
  /** Input element of the first output element. */
  readonly inOffset: number;
  readonly from: DType;
  readonly to: DType;
}

interface Dimension {
  readonly size: number;
  readonly stride: number;
}

const WORKGROUP_SIZE = 64;

/**
 * out[i, j, …] = x[inOffset + i·inStrides[0] + j·inStrides[1] + …], converted by value: floats to integers truncate.
 * Bindings: x of type `from`, then out of type `to`, row-major in `shape`. Four neighbours at a time where the last dimension, after
 * neighbours that can be walked as one are joined, is a multiple of 4. No flops; each output element is one read and one write.
 */
export function stridedCopy(spec: StridedCopySpec, traits: DeviceTraits): Kernel {
  const { inOffset, from, to } = spec;
  const dimensions = merge(spec);
  const { stride = 1, size: width = 1 } = dimensions.at(-1) ?? {};
  const vector = width % 4 === 0;
  const others = dimensions.slice(0, -1);
  const contiguous = vector && stride === 1 && [inOffset, ...others.map((d) => d.stride)].every((n) => n % 4 === 0);
  const size = dimensions.reduce((product, d) => product * d.size, 1);
  const units = vector ? size / 4 : size;
  const run = WORKGROUP_SIZE * policyOf(traits).elementsPerLane;
  const body = `${mainHead(WORKGROUP_SIZE)}
  let end = min((group + 1u) * p.run, p.units);
  for (var i = group * p.run + lane; i < end; i += ${WORKGROUP_SIZE}u) {
    var rest = i;
    var at = p.offset;
${dimensions
  .map((_, d) => locate(d, vector && d === dimensions.length - 1))
  .reverse()
  .join('\n')}
    out[i] = ${load(from, to, vector, contiguous, dimensions.length - 1)};
  }
}`;
  return assemble({
    name: 'strided_copy',
    bindings: [...bind('in', from, 'x'), ...bind('out', to, 'out')],
    params: u32Params({ units, run, offset: inOffset, ...dimensionParams(dimensions) }),
    body,
    vector,
    vectorBindings: [...(contiguous ? ['x'] : []), ...(vector ? ['out'] : [])],
    workgroups: spread(Math.ceil(units / run)),
    flops: 0,
    bytes: size * (BYTES[from] + BYTES[to]),
  });
}

/** Drops dimensions of size 1 and joins neighbours that the input walks as one; at least one dimension is left. */
function merge({ shape, inStrides }: StridedCopySpec): Dimension[] {
  const merged: Dimension[] = [];
  shape.forEach((size, d) => {
    const stride = inStrides[d] ?? 0;
    const last = merged.at(-1);
    if (size === 1) return;
    if (last && last.stride === size * stride) merged[merged.length - 1] = { size: last.size * size, stride };
    else merged.push({ size, stride });
  });
  return merged.length > 0 ? merged : [{ size: 1, stride: 1 }];
}

/** The stride of every dimension, and the size of every one but the first, which no index needs. */
function dimensionParams(dimensions: readonly Dimension[]): Record<string, number> {
  const params: Record<string, number> = {};
  dimensions.forEach(({ size, stride }, d) => {
    params[`stride${d}`] = stride;
    if (d > 0) params[`size${d}`] = size;
  });
  return params;
}

/** Takes dimension d's coordinate off `rest`, which counts units, and adds its part of the input's index to `at`. */
function locate(d: number, fours: boolean): string {
  const scale = fours ? ' * 4u' : '';
  if (d === 0) return `    at += rest${scale} * p.stride0;`;
  const size = fours ? `(p.size${d} / 4u)` : `p.size${d}`;
  return `    at += rest % ${size}${scale} * p.stride${d};\n    rest /= ${size};`;
}

function load(from: DType, to: DType, vector: boolean, contiguous: boolean, last: number): string {
  const convert = (value: string, type: string) => (from === to ? value : `${type}(${value})`);
  if (!vector) return convert('x[at]', to);
  if (contiguous) return convert('x[at / 4u]', `vec4<${to}>`);
  const four = list(4, (k) => `x[at + ${k}u * p.stride${last}]`);
  return convert(`vec4<${from}>(${four})`, `vec4<${to}>`);
}
