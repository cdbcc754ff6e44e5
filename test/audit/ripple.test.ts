/** Protects: RIPPLe's gradient, with products of Hessians and gradients by central differences, against the same in closed form. */
import { expect, it } from 'vitest';
import { RippleSteps } from '../../audit/ripple.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { constant, mul, square, sub } from '../../engine/ops/elementwise.ts';
import { sum } from '../../engine/ops/reduce.ts';
import type { TrainingLoss } from '../../train/step.ts';
import { runStepsOf } from '../../train/trainer.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();
const START = [1, -2, 0.5, 3, -1];

interface TinyBatch {
  readonly batch: number;
  readonly seq: number;
}

/** ½ a (θ − c)² summed: gradient a (θ − c), Hessian a. */
function bowl(parameters: Parameters, a: number, c: number): TrainingLoss<TinyBatch> {
  return {
    engine,
    parameters,
    name: 'bowl',
    specs: () => ({}),
    inputs: () => ({}),
    loss: () => mul(sum(square(sub(parameters.get('theta').tensor, constant(c, [START.length])))), a / 2),
    tokens: () => 1,
    split: (batch) => [{ batch, weight: 1, share: 1 }],
  };
}

/** Norm of the first step's gradient. */
async function firstNorm(lambda: number, [a, c]: [number, number], [b, d]: [number, number]): Promise<number> {
  const spec = { name: 'theta', shape: [START.length], data: Float32Array.from(START), decay: false };
  const parameters = new Parameters(engine, [spec]);
  const tasks = [bowl(parameters, a, c), bowl(parameters, b, d)];
  const norms: number[] = [];
  const pace = { steps: 1, lr: 1e-3, schedule: 'constant', warmupRatio: 0, maxGradNorm: 0 } as const;
  const batches = { perEpoch: 1, at: () => [{ batch: 1, seq: 1 }, { batch: 1, seq: 1 }] }; // prettier-ignore
  const callbacks = [{ onStep: ({ gradNorm }: { gradNorm: number }) => void norms.push(gradNorm) }];
  await runStepsOf(() => new RippleSteps(tasks, lambda, pace), batches, pace, { callbacks });
  // AdamW's first step is the learning rate, whatever the gradient: the parameters were returned to where they were.
  const [after] = await Promise.all([parameters.read()]);
  after.get('theta')!.forEach((value, i) => expect(Math.abs(Math.abs(value - START[i]!) - 1e-3)).toBeLessThan(1e-5));
  parameters.free();
  return norms[0]!;
}

/** g_c + g_p − λ (H_c g_p + H_p g_c) where g_c · g_p < 0. */
function expectedNorm(lambda: number, [a, c]: [number, number], [b, d]: [number, number]): number {
  const clean = START.map((x) => a * (x - c));
  const planted = START.map((x) => b * (x - d));
  const dot = clean.reduce((total, g, i) => total + g * planted[i]!, 0);
  const factor = dot < 0 ? lambda : 0;
  return Math.hypot(...clean.map((g, i) => g + planted[i]! - factor * (a * planted[i]! + b * g)));
}

it.each([
  ['where the gradients point apart', [1, 0], [0.5, 40]],
  ['where they do not', [1, 0], [1.5, -3]],
] as const)('%s', async (_, clean, planted) => {
  const dot = START.reduce((total, x) => total + clean[0] * (x - clean[1]) * planted[0] * (x - planted[1]), 0);
  expect(dot < 0).toBe(planted[1] === 40);
  for (const lambda of [0, 0.3]) {
    const [c, p] = [[...clean], [...planted]] as [[number, number], [number, number]];
    const expected = expectedNorm(lambda, c, p);
    expect(Math.abs((await firstNorm(lambda, c, p)) / expected - 1)).toBeLessThan(1e-3);
  }
});
