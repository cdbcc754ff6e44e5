/** Room: engine/ops. Products with a matrix that comes in parts, because a device could not bind it whole. */
import type { Tensor } from '../graph/tensor.ts';
import { permute } from './copy.ts';
import { dynamicUpdateSlice } from './dynamic-update-slice.ts';
import { constant } from './elementwise.ts';
import { matmul } from './matmul.ts';

/**
 * x·Wᵀ for W in parts along its rows. Gradients flow to x and to the parts.
 * @param x f32 [rows, k]
 * @param parts f32 or f16 [n, k] each, in order
 * @returns f32 [rows, sum of n]
 */
export function matmulParts(x: Tensor, parts: readonly Tensor[]): Tensor {
  return joined(parts.map((part) => matmul(x, part, { transposeB: true })));
}

/** Matrices [rows, n] side by side. */
function joined(parts: readonly Tensor[]): Tensor {
  const [first, ...others] = parts as [Tensor, ...Tensor[]];
  if (others.length === 0) return first;
  const cols = parts.reduce((sum, { shape }) => sum + shape[1]!, 0);
  let start = 0;
  const turned = parts.reduce(
    (whole, part) => {
      const written = dynamicUpdateSlice(whole, permute(part, [1, 0]), { start });
      start += part.shape[1]!;
      return written;
    },
    constant(0, [cols, first.shape[0]!]),
  );
  return permute(turned, [1, 0]);
}
