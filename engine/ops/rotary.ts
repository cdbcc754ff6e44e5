/** Room: engine/ops. Rotary position embedding (Su et al. 2021), in the half-split convention of transformers' Llama. */
import * as kernels from '../../kernels/rotary.ts';
import { showShape } from '../graph/shape.ts';
import { emit, type Op, type Tensor } from '../graph/tensor.ts';

const rotaryOp: Op<kernels.RotarySpec> = {
  name: 'rotary',
  cheap: true,
  lowering: {
    kind: 'kernel',
    overwrites: 0,
    kernel: ({ attrs }, traits, { inPlace }) => kernels.rotary(attrs, traits, inPlace),
  },
  vjp: ({ attrs, inputs: [, ...rest] }, [dy]) => [
    dy && emit(rotaryOp, [dy, ...rest], { ...attrs, inverse: !attrs.inverse }, dy.shape),
  ],
};

/**
 * The table that `rotary` reads: cosines and sines in f32 of the angles that transformers computes in f32.
 * @param inverseFrequencies radians per position of each pair, headDim/2 of them
 * @param amplitude factor of cosines and sines
 * @returns f32 [positions, headDim]: the cosines of a position's angles, then their sines
 */
export function rotaryTable(positions: number, inverseFrequencies: readonly number[], amplitude = 1): Float32Array {
  const half = inverseFrequencies.length;
  const table = new Float32Array(positions * 2 * half);
  for (let position = 0; position < positions; position++) {
    inverseFrequencies.forEach((frequency, i) => {
      const angle = Math.fround(position * Math.fround(frequency));
      table[position * 2 * half + i] = amplitude * Math.cos(angle);
      table[(position * 2 + 1) * half + i] = amplitude * Math.sin(angle);
    });
  }
  return table;
}

/**
 * x with each pair (i, i + headDim/2) of every head turned by the angle of its row's position.
 * @param x f32 [..., heads·headDim]: queries or keys as the projections write them
 * @param table f32 [positions, headDim], from `rotaryTable`; no gradient flows to it
 * @param ids i32, one position per row of x; those outside the table are taken as the nearest within
 * @returns f32, of x's shape
 * @throws Error naming the shapes where they do not fit
 */
export function rotary(x: Tensor, table: Tensor, ids: Tensor): Tensor {
  const [positions, headDim] = table.shape as [number, number];
  const cols = x.shape.at(-1) ?? 1;
  const [rows, heads] = [x.size / cols, cols / headDim];
  if (table.shape.length !== 2 || headDim % 2 !== 0 || !Number.isInteger(heads) || ids.size !== rows) {
    throw new Error(
      `rotary: table ${showShape(table.shape)} and positions ${showShape(ids.shape)} do not fit ${showShape(x.shape)}`,
    );
  }
  return emit(rotaryOp, [x, table, ids], { rows, heads, headDim, positions, inverse: false }, x.shape);
}
