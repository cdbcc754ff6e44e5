/** Protects: products side by side become one dispatch, dropout of their input is drawn within, and they compute what they did apart. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Program } from '../../engine/compile/program.ts';
import { Engine } from '../../engine/engine.ts';
import { gradients } from '../../engine/autograd/gradients.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { attention } from '../../engine/ops/attention.ts';
import { add, dropout, mul, square } from '../../engine/ops/elementwise.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { sum } from '../../engine/ops/reduce.ts';
import type { Variable } from '../../engine/variable.ts';
import { randomValues } from '../../engine/testing/index.ts';
import { dropoutScale } from '../kernels/reference.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

const TOKENS = 64;
const WIDTH = 64;
const RANKS = 4;
const SPEC = { batch: 2, seq: TOKENS / 2, heads: 2, headDim: WIDTH / 2, causal: false, scale: 0.25 };
const NAMES = ['q', 'k', 'v'];

interface Outcome {
  readonly program: Program;
  readonly values: Readonly<Record<string, Float32Array>>;
}

/** Of the random state of the step: how the input of the i-th low-rank product is dropped. */
type Drop = (x: Tensor, i: number, random: readonly [seed: Variable, step: Variable]) => Tensor;

const [SEED, STEP, RATE] = [5, 3, 0.25];

const DROPS: Record<string, Drop> = {
  none: (x) => x,
  drawn: (x, i, [seed, step]) => dropout(x, RATE, 7 - i, { seed: seed.tensor, step: step.tensor }),
  given: (x, i) => {
    const data = Float32Array.from({ length: x.size }, (_, at) => dropoutScale(at, SEED, STEP, 7 - i, RATE));
    return mul(x, engine.variable(`scale ${i}`, x.shape, { kind: 'state', data }).tensor);
  },
};

/**
 * y_i = x·W_iᵀ + b_i + (drop_i(x)·A_iᵀ)·B_iᵀ for three i, then the squares of their attention summed; x = u², so that dx is needed.
 */
async function run(
  arrange: (variables: readonly Variable[]) => readonly Variable[],
  drop = DROPS.none!,
): Promise<Outcome> {
  const variable = (name: string, shape: number[], seed: number): Variable =>
    engine.variable(name, shape, {
      kind: 'weights',
      data: randomValues(
        shape.reduce((a, b) => a * b),
        seed,
        0.5,
      ),
    });
  const weights = arrange(NAMES.map((name, i) => variable(`${name}.weight`, [WIDTH, WIDTH], i + 1)));
  const biases = arrange(NAMES.map((name, i) => variable(`${name}.bias`, [WIDTH], i + 11)));
  const u = variable('u', [TOKENS, WIDTH], 20);
  const all = new Int32Array(TOKENS).fill(1);
  const mask = engine.variable('mask', [2, TOKENS / 2], { kind: 'state', dtype: 'i32', data: all });
  const specs = NAMES.flatMap((name, i) => [
    { name: `${name}.A`, shape: [RANKS, WIDTH], data: randomValues(RANKS * WIDTH, 30 + i), decay: true },
    { name: `${name}.B`, shape: [WIDTH, RANKS], data: randomValues(WIDTH * RANKS, 40 + i), decay: true },
  ]);
  const parameters = new Parameters(engine, specs);
  const number = (name: string, value: number): Variable =>
    engine.variable(name, [1], { kind: 'state', dtype: 'u32', data: Uint32Array.of(value) });
  const random = [number('seed', SEED), number('step', STEP)] as const;
  const program = await engine.compile('projections', {}, () => {
    const x = square(u.tensor);
    const [q, k, v] = NAMES.map((name, i) => {
      const y = add(matmul(x, weights[i]!.tensor, { transposeB: true }), biases[i]!.tensor);
      const low = mul(matmul(drop(x, i, random), parameters.get(`${name}.A`).tensor, { transposeB: true }), 2);
      return add(y, matmul(low, parameters.get(`${name}.B`).tensor, { transposeB: true }));
    }) as [Tensor, Tensor, Tensor];
    const value = sum(square(attention(q, k, v, mask.tensor, SPEC)));
    const wanted = [u, ...parameters.all];
    const grads = gradients(
      value,
      wanted.map(({ tensor }) => tensor),
    );
    return { outputs: { value, ...Object.fromEntries(wanted.map(({ name }, i) => [name, grads[i] as Tensor])) } };
  });
  program.run();
  const values: Record<string, Float32Array> = {};
  for (const name of ['value', 'u', ...parameters.all.map((p) => p.name)]) values[name] = await program.read(name);
  return { program, values };
}

const products = ({ program }: Outcome): string[] =>
  program.dispatches.map(({ kernel }) => kernel.name).filter((name) => name.startsWith('matmul'));

describe('three projections of one tensor, their weights', () => {
  let apart: Outcome;
  let together: Outcome;
  beforeAll(async () => {
    apart = await run((variables) => variables);
    together = await run((variables) => engine.makeContiguous(variables));
  });

  it('side by side, are one product each way', () => {
    expect(products(together)).toEqual(['nt', 'nt+nt', 'tn', 'nn', 'nn+nn', 'tn'].map((name) => `matmul.${name}`));
    const low = (outcome: Outcome): number => products(outcome).filter((name) => !name.includes('+')).length;
    expect([low(apart), products(apart).length]).toEqual([6, 10]);
  });

  it('anywhere, give the same numbers', () => expectAlike(together, apart));

  it('with dropout, take no dispatch more and give the numbers of masks multiplied in', async () => {
    const drawn = await run((variables) => engine.makeContiguous(variables), DROPS.drawn);
    expect(drawn.program.dispatches.length).toBe(together.program.dispatches.length);
    expect(products(drawn)).toEqual(products(together));
    expectAlike(drawn, await run((variables) => variables, DROPS.given));
    expectAlike(drawn, await run((variables) => variables, DROPS.drawn));
  });
});

function expectAlike({ values }: Outcome, expected: Outcome): void {
  for (const [name, found] of Object.entries(values)) {
    const largest = Math.max(...expected.values[name]!.map(Math.abs));
    expect(largest).toBeGreaterThan(0);
    found.forEach((value, i) => expect(Math.abs(value - expected.values[name]![i]!) / largest).toBeLessThan(1e-5));
  }
}

it('variables moved together keep their values and are freed one by one', async () => {
  const before = engine.memory.current;
  const data = [1, 2, 3].map((seed) => randomValues(64, seed));
  const moved = engine.makeContiguous(data.map((d, i) => engine.variable(`w${i}`, [64], { kind: 'weights', data: d })));
  expect(engine.memory.current - before).toBe(3 * 256);
  expect(new Set(moved.map(({ storage }) => storage.buffer)).size).toBe(1);
  engine.free(moved[0]!);
  expect(await engine.read(moved[2]!)).toEqual(data[2]);
  for (const variable of moved.slice(1)) engine.free(variable);
  expect(engine.memory.current).toBe(before);
});
