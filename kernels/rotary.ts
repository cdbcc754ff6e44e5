/** Room: kernels. Rotary position embedding (Su et al. 2021) in the half-split convention of transformers' Llama. */
import { assemble, bind, mainHead, u32Params } from './assemble.ts';
import { spread, type DeviceTraits, type Kernel, type Param } from './kernel.ts';
import { policyOf } from './policy.ts';

/** Of x [rows, heads·headDim], a position for each row. */
export interface RotarySpec {
  readonly rows: number;
  readonly heads: number;
  /** Width of a head, even. */
  readonly headDim: number;
  /** Rows of the table. */
  readonly positions: number;
  /** Whether to turn back, which is the gradient of turning. */
  readonly inverse: boolean;
}

const WORKGROUP_SIZE = 64;

/**
 * Rotary position embedding (Su et al. 2021): turns each pair (x[i], x[i + headDim/2]) of every head by the angle of the row's position;
 * 6 flops a pair.
 * Bindings: x f32 [rows, heads·headDim], table f32 [positions, headDim] (cosines of the headDim/2 angles, then their sines),
 * ids i32 [rows], then y like x. An id outside the table is taken as the nearest within.
 * @param inPlace y overwrites x, whose binding it then is
 */
export function rotary(spec: RotarySpec, traits: DeviceTraits, inPlace = false): Kernel {
  const { rows, heads, headDim, positions, inverse } = spec;
  const vector = headDim % 8 === 0;
  const half = headDim / (vector ? 8 : 2);
  const pairs = rows * heads * half;
  const run = WORKGROUP_SIZE * policyOf(traits).rowUnitsPerLane;
  const out = inPlace ? 'x' : 'y';
  const outputs = inPlace ? [] : ['y'];
  const body = `${mainHead(WORKGROUP_SIZE)}
  let end = min((group + 1u) * p.run, p.pairs);
  for (var i = group * p.run + lane; i < end; i += ${WORKGROUP_SIZE}u) {
    let head = i / p.half;
    let unit = i % p.half;
    let id = u32(clamp(ids[head / p.heads], 0, p.last));
    let cosine = table[id * 2u * p.half + unit];
    let sine = table[(id * 2u + 1u) * p.half + unit] * p.direction;
    let low = head * 2u * p.half + unit;
    let high = low + p.half;
    let a = x[low];
    let b = x[high];
    ${out}[low] = a * cosine - b * sine;
    ${out}[high] = b * cosine + a * sine;
  }
}`;
  const params: Param[] = [
    ...u32Params({ pairs, run, half, heads }),
    { name: 'last', type: 'i32', value: positions - 1 },
    { name: 'direction', type: 'f32', value: inverse ? -1 : 1 },
  ];
  return assemble({
    name: 'rotary',
    bindings: [
      ...bind(inPlace ? 'inout' : 'in', 'f32', 'x'),
      ...bind('in', 'f32', 'table'),
      ...bind('in', 'i32', 'ids'),
      ...bind('out', 'f32', ...outputs),
    ],
    params,
    body,
    vector,
    vectorBindings: vector ? ['x', 'table', ...outputs] : [],
    workgroups: spread(Math.ceil(pairs / run)),
    flops: 6 * pairs * (vector ? 4 : 1),
    bytes: 4 * (2 * rows * heads * headDim + Math.min(rows, positions) * headDim + rows),
  });
}
