/** Protects: every vjp rule, against finite differences, over odd shapes and broadcasts. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import * as e from '../../engine/ops/elementwise.ts';
import { reshape } from '../../engine/ops/leaf.ts';
import { attention } from '../../engine/ops/attention.ts';
import { permute } from '../../engine/ops/copy.ts';
import { crossEntropy } from '../../engine/ops/cross-entropy.ts';
import { dynamicUpdateSlice } from '../../engine/ops/dynamic-update-slice.ts';
import { gatherRows } from '../../engine/ops/gather.ts';
import { layerNorm } from '../../engine/ops/layernorm.ts';
import { rmsNorm } from '../../engine/ops/rmsnorm.ts';
import { rotary, rotaryTable } from '../../engine/ops/rotary.ts';
import { maskColumns } from '../../engine/ops/mask.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { matmulParts } from '../../engine/ops/matmul-parts.ts';
import { sum, sumLast } from '../../engine/ops/reduce.ts';
import { checkGradients } from './gradcheck.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

type Fn = (...x: Tensor[]) => Tensor;
const check = (shapes: number[][], fn: Fn, options = {}): Promise<void> =>
  checkGradients(engine, shapes, (inputs) => fn(...inputs), options);

describe('elementwise', () => {
  const unary: Record<string, Fn> = {
    neg: (x) => e.neg(x),
    exp: (x) => e.exp(x),
    square: (x) => e.square(x),
    tanh: (x) => e.tanh(x),
    gelu: (x) => e.gelu(x),
    geluTanh: (x) => e.geluTanh(x),
    silu: (x) => e.silu(x),
    identity: (x) => e.identity(x),
  };
  it.each(Object.keys(unary))('%s', (name) => check([[3, 7]], unary[name] as Fn));
  it.each(['log', 'sqrt', 'abs', 'relu'] as const)('%s away from its kink', (name) =>
    check([[3, 7]], (x) => e[name](x), { offset: 2 }),
  );
  const pairs: [string, number[], number[]][] = [
    ['same shape', [3, 5], [3, 5]],
    ['bias', [3, 5], [5]],
    ['per row', [3, 5], [3, 1]],
    ['scalar', [3, 4], []],
    ['group in the middle', [2, 3, 4], [3, 1]],
  ];
  it.each(pairs)('add, sub, mul with a broadcast operand: %s', async (_, a, b) => {
    await check([a, b], (x, y) => e.add(x, y));
    await check([a, b], (x, y) => e.sub(y, x));
    await check([a, b], (x, y) => e.mul(x, y));
  });
  it('div, where, maximum, minimum', async () => {
    await check([[3, 5], [5]], (x, y) => e.div(x, y), { offset: 3 });
    await check([[3, 5], [5]], (x, y) => e.where(e.greaterEqual(y, 0), x, e.mul(y, 2)));
    await check([[4, 5]], (x) => e.maximum(x, -10));
    await check([[4, 5]], (x) => e.minimum(x, -10));
  });
  it('dropout redraws the same pattern backwards', async () => {
    const seed = engine.variable('seed', [1], { dtype: 'u32', kind: 'state', data: Uint32Array.of(5) }).tensor;
    const step = engine.variable('step', [1], { dtype: 'u32', kind: 'state', data: Uint32Array.of(9) }).tensor;
    await check([[5, 7]], (x) => e.dropout(x, 0.4, 3, { seed, step }));
  });
});

describe('reductions and views', () => {
  it.each([[[1]], [[7]], [[3, 5]], [[2, 3, 4]], [[97, 83]]])('sum of %j', (shape) => check([shape], (x) => sum(x)));
  it('sumLast, reshape', async () => {
    await check([[3, 5]], (x) => sumLast(x));
    await check([[3, 4]], (x) => e.square(reshape(x, [2, -1])));
  });
});

describe('matmul', () => {
  it.each([
    [1, 1, 1],
    [3, 5, 7],
    [17, 4, 9],
  ])('all layouts at m=%i k=%i n=%i', async (m, k, n) => {
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        const shapes = [transposeA ? [k, m] : [m, k], transposeB ? [n, k] : [k, n]];
        await check(shapes, (a, b) => matmul(a, b, { transposeA, transposeB }));
      }
    }
  });
  it('a linear layer with LoRA, whose products share kernels', () =>
    check([[6, 5], [7, 5], [3, 5], [7, 3], [7]], (x, w, a, b, bias) => {
      const t = e.mul(matmul(x, a, { transposeB: true }), 2);
      const base = e.add(matmul(x, w, { transposeB: true }), bias);
      return e.gelu(e.add(base, matmul(t, b, { transposeB: true })));
    }));
});

describe('ops with kernels of their own', () => {
  const integers = (name: string, values: readonly number[], shape: number[]): Tensor =>
    engine.variable(name, shape, { dtype: 'i32', kind: 'state', data: Int32Array.from(values) }).tensor;

  it('layerNorm, with and without its own weights training', async () => {
    await check([[5, 12], [12], [12]], (x, g, b) => layerNorm(x, g, b, 1e-5));
    const gamma = engine.variable('gamma', [7], { kind: 'state', data: new Float32Array(7).fill(1.5) }).tensor;
    await check([[3, 7]], (x) => layerNorm(x, gamma, gamma, 1e-5));
  });
  it('rmsNorm, with and without its own weight training', async () => {
    await check([[5, 12], [12]], (x, g) => rmsNorm(x, g, 1e-5));
    const gamma = engine.variable('gamma', [7], { kind: 'state', data: new Float32Array(7).fill(1.5) }).tensor;
    await check([[3, 7]], (x) => rmsNorm(x, gamma, 1e-5));
  });
  it('rotary', () => {
    const table = rotaryTable(9, [1, 0.1]);
    const data = { kind: 'state', data: table } as const;
    return check([[5, 12]], (x) =>
      rotary(x, engine.variable('table', [9, 4], data).tensor, integers('ids', [0, 1, 2, 8, 3], [5])),
    );
  });
  it('the gated product of SwiGLU', () =>
    check(
      [
        [5, 6],
        [7, 6],
        [7, 6],
      ],
      (x, gate, up) => e.mul(e.silu(matmul(x, gate, { transposeB: true })), matmul(x, up, { transposeB: true })),
    ));
  it('attention whose query heads share key heads, in groups and by a table', async () => {
    const mask = integers('mask', [1, 1, 1, 1, 1, 0, 1, 1, 1, 1], [2, 5]);
    const grouped = { batch: 2, seq: 5, heads: 4, kvHeads: 2, headDim: 4, causal: true, scale: 0.5 };
    const run = (spec: typeof grouped & { kvHeadOf?: number[] }) =>
      check(
        [
          [10, 16],
          [10, 8],
          [10, 8],
        ],
        (q, k, v) => attention(q, k, v, mask, spec),
      );
    await run(grouped);
    await run({ ...grouped, kvHeadOf: [0, 1, 1, 1] });
  });
  it.each([false, true])('attention with padding, causal = %s', (causal) => {
    const mask = integers('mask', [1, 1, 1, 1, 1, 1, 1, 1, 0, 0], [2, 5]);
    const spec = { batch: 2, seq: 5, heads: 2, headDim: 4, causal, scale: 0.5 };
    const shape = [10, 8];
    return check([shape, shape, shape], (q, k, v) => attention(q, k, v, mask, spec));
  });
  it('crossEntropy leaves rows without a label out', () =>
    check([[4, 3]], (x) => crossEntropy(x, integers('labels', [2, -100, 0, 1], [4]))));
  it('gatherRows with repeated ids and ids out of range', () =>
    check([[6, 5]], (x) => gatherRows(x, integers('ids', [3, 3, 0, -1, 5, 9], [6]))));
  it.each([
    ['heads', 12, 3],
    ['neurons', 12, 12],
    ['ranks of an odd count', 7, 7],
  ])('maskColumns over %s', (_, cols, n) => check([[9, cols], [n]], (x, m) => maskColumns(x, m)));
  it('operands that are the same tensor', async () => {
    await check([[5, 5]], (x) => matmul(x, x));
    await check([[5]], (x) => e.mul(reshape(x, [5, 1]), reshape(x, [1, 5])));
    await check([[5, 5]], (x) => e.add(matmul(e.tanh(x), x), x));
  });
  it('permute', () => check([[3, 4, 5]], (x) => e.square(permute(x, [2, 0, 1]))));
});

it('dynamicUpdateSlice, and products with a matrix in parts', async () => {
  await check(
    [
      [5, 3],
      [2, 3],
    ],
    (into, rows) => e.square(dynamicUpdateSlice(into, rows, { start: 1 })),
  );
  await check(
    [
      [4, 6],
      [3, 6],
      [5, 6],
      [1, 6],
    ],
    (x, ...parts) => e.square(matmulParts(x, parts)),
  );
});
