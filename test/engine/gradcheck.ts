/** Tests only: compares vjps with central finite differences along random directions. */
import { expect } from 'vitest';
import type { Engine } from '../../engine/engine.ts';
import { gradients } from '../../engine/autograd/gradients.ts';
import type { Shape } from '../../engine/graph/shape.ts';
import { sizeOf } from '../../engine/graph/shape.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { mul } from '../../engine/ops/elementwise.ts';
import { sum } from '../../engine/ops/reduce.ts';

/** Deterministic numbers in [-1, 1). */
function numbers(size: number, seed = 1): Float32Array {
  let state = seed * 2654435761;
  return Float32Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
}

/**
 * Checks d/dε f(x + ε·u) = ⟨∇f(x), u⟩ for every input, f(x) = ⟨fn(x), w⟩ with a fixed random w.
 * @param shapes of the inputs of `fn`
 */
export async function checkGradients(
  engine: Engine,
  shapes: readonly Shape[],
  fn: (inputs: readonly Tensor[]) => Tensor,
  { eps = 1e-2, tolerance = 2e-2, offset = 0 } = {},
): Promise<void> {
  const specs = Object.fromEntries(shapes.map((shape, i) => [`x${i}`, { shape, dtype: 'f32' as const }]));
  const program = await engine.compile('gradcheck', specs, (given) => {
    const inputs = shapes.map((_, i) => given[`x${i}`] as Tensor);
    const y = fn(inputs);
    const weights = engine.variable('w', y.shape, { kind: 'state', data: numbers(y.size, 99) });
    const loss = sum(mul(y, weights.tensor));
    const grads = gradients(loss, inputs);
    return { outputs: { loss, ...Object.fromEntries(grads.map((g, i) => [`g${i}`, g as Tensor])) } };
  });
  const values = shapes.map((shape, i) => numbers(sizeOf(shape), i + 1).map((v) => v + offset));
  const run = async (inputs: readonly Float32Array[]): Promise<number> => {
    program.run(Object.fromEntries(inputs.map((data, i) => [`x${i}`, data])));
    return (await program.read('loss'))[0] as number;
  };
  await run(values);
  const grads = await Promise.all(shapes.map((_, i) => program.read(`g${i}`)));
  for (const [i, grad] of grads.entries()) {
    const direction = numbers(grad.length, 50 + i);
    const along = (sign: number): Float32Array[] =>
      values.map((v, j) => (j === i ? v.map((x, k) => x + sign * eps * (direction[k] as number)) : v));
    const numeric = ((await run(along(1))) - (await run(along(-1)))) / (2 * eps);
    const analytic = grad.reduce((total, g, k) => total + g * (direction[k] as number), 0);
    const scale = Math.max(1, Math.sqrt(grad.reduce((total, g) => total + g * g, 0)));
    expect(Math.abs(numeric - analytic) / scale, `input ${i}: numeric ${numeric}, vjp ${analytic}`).toBeLessThan(
      tolerance,
    );
  }
  program.dispose();
}
