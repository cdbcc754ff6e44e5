/** Protects: no kernel binds more than the device can, whatever passes join; one that cannot but is refused by name before it is made. */
import { afterAll, describe, expect, it } from 'vitest';
import type { Program } from '../../engine/compile/program.ts';
import { TooLargeError } from '../../engine/compile/limits.ts';
import { Engine } from '../../engine/engine.ts';
import { gradients } from '../../engine/autograd/gradients.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { add, gelu } from '../../engine/ops/elementwise.ts';
import { gatherRows } from '../../engine/ops/gather.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { sum } from '../../engine/ops/reduce.ts';
import { fusedLinearCrossEntropy, vocabularyLogits } from '../../engine/ops/vocabulary.ts';
import { assertClose, randomValues } from '../../engine/testing/index.ts';
import { openTestEngine } from '../engine.ts';

const LIMIT = 8192;
const whole = await openTestEngine();
const small = await Engine.open({ limits: { maxStorageBufferBindingSize: LIMIT } });
afterAll(() => small.close());

/** Bytes of the largest binding. */
const largest = (program: Program): number =>
  Math.max(...program.dispatches.flatMap((_, i) => program.storages(i).map(({ bytes }) => bytes)));

const spec = (shape: number[], dtype: 'f32' | 'i32' = 'f32') => ({ shape, dtype });

/** Scores, loss and its gradient, looked-up rows of a table of so many rows, 16 wide. */
async function vocabulary(engine: Engine, rows: number): Promise<{ values: Float32Array[]; binding: number }> {
  const data = randomValues(rows * 16, rows, 0.5);
  const table = engine.variable('table', [rows, 16], { kind: 'weights', data });
  const parts = table.rowParts(engine.limits.maxStorageBufferBindingSize).map(({ tensor }) => tensor);
  const program = await engine.compile(
    'vocabulary',
    { x: spec([3, 16]), ids: spec([5], 'i32'), labels: spec([3], 'i32') },
    ({ x, ids, labels }) => {
      const loss = fusedLinearCrossEntropy(x, parts, labels);
      const scores = vocabularyLogits(x, parts).map((logits, i) => [`scores${i}`, logits] as const);
      const rest = { loss, gradient: gradients(loss, [x])[0]!, rows: gatherRows(parts, ids) };
      return { outputs: { ...rest, ...Object.fromEntries(scores) } };
    },
  );
  const labels = Int32Array.of(0, rows - 1, rows >> 1);
  program.run({ x: randomValues(48, 1, 1), ids: Int32Array.of(0, 1, rows >> 1, rows - 2, rows - 1), labels });
  const scores = await Promise.all(parts.map((_, i) => program.read(`scores${i}`)));
  const joined = Array.from({ length: 3 }, (_, row) =>
    scores.flatMap((part) => [...part.subarray((row * part.length) / 3, ((row + 1) * part.length) / 3)]),
  ).flat();
  const rest = await Promise.all(['loss', 'gradient', 'rows'].map((name) => program.read(name)));
  const binding = largest(program);
  program.dispose();
  engine.free(table);
  return { values: [Float32Array.from(joined), ...rest], binding };
}

describe('a vocabulary over the binding limit', () => {
  // 128 rows fit; parts are equal at whole multiples, and all but the last a few rows before.
  const sizes = [1, 2, 3, 4, 5].flatMap((n) => [128 * n - 16, 128 * n - 4, 128 * n, 128 * n + 4, 128 * n + 16]);

  it.each(sizes)('of %i rows: parts are never joined beyond it, and give what the whole gives', async (rows) => {
    const [expected, found] = [await vocabulary(whole, rows), await vocabulary(small, rows)];
    expect(found.binding).toBeLessThanOrEqual(LIMIT);
    found.values.forEach((values, i) => assertClose(values, expected.values[i]!, 1e-5));
  });
});

it('products of one input, and sums of products, are joined up to the limit and no further', async () => {
  const run = async (
    engine: Engine,
    tokens: number,
  ): Promise<{ program: Program; binding: number; values: number[] }> => {
    const names = ['query', 'key', 'value'];
    const weights = engine.allocateContiguous(names, [16, 16], { kind: 'weights' });
    weights.forEach((weight, i) => engine.write(weight, randomValues(256, i, 0.5)));
    const program = await engine.compile('projections', { x: spec([tokens, 16]) }, ({ x }) => {
      const each = weights.map(({ tensor }) => gelu(matmul(x, tensor, { transposeB: true })));
      const [dx] = gradients(sum(each.reduce((a, b) => add(a, b))), [x]);
      return { outputs: { dx: dx!, ...Object.fromEntries(each.map((y, i) => [names[i]!, y])) } };
    });
    program.run({ x: randomValues(tokens * 16, 5, 1) });
    const values = [...(await program.read('dx')), ...(await program.read('value'))];
    for (const weight of weights) engine.free(weight);
    return { program, binding: largest(program), values };
  };
  for (const tokens of [40, 44, 124, 128]) {
    const [expected, found] = [await run(whole, tokens), await run(small, tokens)];
    expect(found.binding).toBeLessThanOrEqual(LIMIT);
    assertClose(Float32Array.from(found.values), Float32Array.from(expected.values), 1e-5);
    const joined = 3 * tokens * 16 * 4 <= LIMIT;
    expect(found.program.dispatches.length === expected.program.dispatches.length).toBe(joined);
  }
});

describe('what cannot be bound', () => {
  const twice = (x: Tensor): Tensor => matmul(x, x, { transposeB: true });

  it('is found before anything is made on the device', async () => {
    const before = small.memory.created;
    const compile = small.compile('square', { x: spec([64, 4]) }, ({ x }) => ({ outputs: { y: twice(x) } }));
    await expect(compile).rejects.toThrow(
      `square: a tensor takes ${64 * 64 * 4} bytes, this adapter binds at most ${LIMIT} bytes`,
    );
    expect(small.memory.created).toBe(before);
    expect(small.fits('square', { x: spec([45, 4]) }, ({ x }) => ({ outputs: { y: twice(x) } }))).toBe(true);
    expect(small.fits('square', { x: spec([46, 4]) }, ({ x }) => ({ outputs: { y: twice(x) } }))).toBe(false);
  });

  it('is named where it is a weight', async () => {
    const weight = small.variable('up.weight', [4, 520], { kind: 'weights' });
    const compile = small.compile('up', { x: spec([64, 520]) }, ({ x }) => ({
      outputs: { y: matmul(x, weight.tensor, { transposeB: true }) },
    }));
    await expect(compile).rejects.toThrow(/^up: up\.weight takes 8320 bytes/);
    await expect(compile).rejects.toBeInstanceOf(TooLargeError);
    small.free(weight);
  });
});

it('parameters are grouped up to the limit', () => {
  const specs = [700, 700, 700, 3000, 64].map((size, i) => {
    return { name: `p${i}`, shape: [size], data: randomValues(size, i, 1), decay: true };
  });
  using parameters = new Parameters(small, specs);
  expect(parameters.groups.map(({ parameters: all }) => all.map(({ name }) => name))).toEqual([
    ['p0', 'p1'],
    ['p2'],
    ['p3'],
    ['p4'],
  ]);
});

it('an arena over the largest buffer is several, with the values of one', async () => {
  using cut = await Engine.open({ limits: { maxBufferSize: 9000, maxStorageBufferBindingSize: LIMIT } });
  const run = async (engine: Engine): Promise<{ values: Float32Array; bytes: number }> => {
    const program = await engine.compile('chain', { x: spec([40, 40]) }, ({ x }) => {
      const each = Array.from({ length: 6 }, (_, i) => gelu(matmul(x, add(x, i))));
      return { outputs: { y: each.reduce((a, b) => matmul(a, b)) } };
    });
    program.run({ x: randomValues(1600, 3, 0.3) });
    const values = await program.read('y');
    const all = program.dispatches.flatMap((_, i) => program.storages(i));
    for (const { buffer, offset, bytes } of all) expect(offset + bytes).toBeLessThanOrEqual(buffer.size);
    for (const { buffer } of all) expect(buffer.size).toBeLessThanOrEqual(engine.limits.maxBufferSize);
    return { values, bytes: engine.arena.bytes };
  };
  const [expected, found] = [await run(whole), await run(cut)];
  expect(found.bytes).toBeGreaterThan(2 * 9000);
  expect(found.values).toEqual(expected.values);
});
