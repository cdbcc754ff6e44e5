/** Protects: compilation — fusion, updates, memory planning and replay — against plain evaluation on the host. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { AdamW, ADAMW_DEFAULTS, ADAMW_INPUTS } from '../../engine/optim/adamw.ts';
import * as e from '../../engine/ops/elementwise.ts';
import { cast, permute, slice } from '../../engine/ops/copy.ts';
import { reshape } from '../../engine/ops/leaf.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { sum, sumLast } from '../../engine/ops/reduce.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

const ROWS = 3;
const COLS = 4;

/** A value on both sides: lazily on the device, and as numbers. */
interface Pair {
  readonly tensor: Tensor;
  readonly host: readonly number[];
}

type Step = readonly [op: number, left: number, right: number];

const BINARY: readonly [(a: Tensor, b: Tensor) => Tensor, (a: number, b: number) => number][] = [
  [e.add, (a, b) => a + b],
  [e.sub, (a, b) => a - b],
  [e.mul, (a, b) => a * b],
  [e.maximum, Math.max],
];

/** Sums over rows or columns, broadcast back, and a product with a fixed matrix: what fusion has to stop at. */
function barrier(kind: number, { tensor, host }: Pair): Pair {
  const row = (r: number): readonly number[] => host.slice(r * COLS, (r + 1) * COLS);
  if (kind === 0) {
    const sums = Array.from({ length: ROWS }, (_, r) => row(r).reduce((a, b) => a + b, 0));
    const spread = e.mul(reshape(sumLast(tensor), [ROWS, 1]), e.constant(0.25, [ROWS, COLS]));
    return { tensor: spread, host: host.map((_, i) => sums[Math.floor(i / COLS)]! * 0.25) };
  }
  const weights = Array.from({ length: COLS * COLS }, (_, i) => (((i * 7) % 5) - 2) / 4);
  const w = engine.variable('w', [COLS, COLS], { kind: 'weights', data: Float32Array.from(weights) }).tensor;
  const product = host.map((_, i) =>
    row(Math.floor(i / COLS)).reduce((total, x, k) => total + x * weights[k * COLS + (i % COLS)]!, 0),
  );
  return { tensor: matmul(tensor, w), host: product };
}

/** Grows a graph from two inputs; every step may use any value made before. */
function grow(steps: readonly Step[], x: Pair, y: Pair): Pair[] {
  const values: Pair[] = [x, y];
  for (const [op, left, right] of steps) {
    const a = values[left % values.length]!;
    const b = values[right % values.length]!;
    if (op >= BINARY.length) {
      values.push(barrier(op - BINARY.length, a));
    } else {
      const [device, host] = BINARY[op]!;
      const clipped = (v: number): number => Math.min(Math.max(v, -8), 8);
      const tensor = e.minimum(e.maximum(device(a.tensor, b.tensor), -8), 8);
      values.push({ tensor, host: a.host.map((v, i) => clipped(host(v, b.host[i]!))) });
    }
  }
  return values;
}

describe('fusion', () => {
  it('any graph of elementwise ops, sums and products computes what the host computes', async () => {
    const step = fc.tuple(fc.nat(BINARY.length + 1), fc.nat(20), fc.nat(20));
    const numbers = fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 12, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 9 }), numbers, numbers, async (steps, xs, ys) => {
        const data = [xs, ys].map((v) => Float32Array.from(v));
        const leaf = (i: number): Pair => {
          const tensor = engine.variable(`in${i}`, [ROWS, COLS], { kind: 'state', data: data[i]! }).tensor;
          return { tensor, host: [...data[i]!] };
        };
        const kept = grow(steps, leaf(0), leaf(1)).slice(-2);
        const outputs = Object.fromEntries(kept.map(({ tensor }, i) => [`out${i}`, tensor]));
        const program = await engine.compile('random', {}, () => ({ outputs }));
        program.run();
        for (const [i, { host }] of kept.entries()) {
          const found = await program.read(`out${i}`);
          host.forEach((value, k) =>
            expect(Math.abs(found[k]! - value)).toBeLessThan(1e-4 * Math.max(1, Math.abs(value))),
          );
        }
        program.dispose();
      }),
      { numRuns: 25 },
    );
  });

  it('a linear layer with LoRA, bias and activation takes two kernels', async () => {
    const spec = (shape: number[]): { shape: number[]; dtype: 'f32' } => ({ shape, dtype: 'f32' });
    const shapes = { x: spec([6, 5]), w: spec([8, 5]), a: spec([2, 5]), b: spec([8, 2]), bias: spec([8]) };
    const program = await engine.compile('lora', shapes, ({ x, w, a, b, bias }) => {
      const down = e.mul(matmul(x, a, { transposeB: true }), 2);
      const base = e.add(matmul(x, w, { transposeB: true }), bias);
      return { outputs: { y: e.gelu(e.add(base, matmul(down, b, { transposeB: true }))) } };
    });
    expect(program.dispatches).toHaveLength(2);
  });
});

describe('updates', () => {
  it('all read the values from before the run', async () => {
    const a = engine.variable('a', [5], { kind: 'state', data: Float32Array.of(1, 2, 3, 4, 5) });
    const b = engine.variable('b', [5], { kind: 'state', data: new Float32Array(5).fill(10) });
    const program = await engine.compile('swap', {}, () => ({
      updates: [
        { target: a, value: e.add(b.tensor, 1) },
        { target: b, value: e.mul(a.tensor, 2) },
      ],
    }));
    program.run();
    expect([...(await engine.read(a))]).toEqual([11, 11, 11, 11, 11]);
    expect([...(await engine.read(b))]).toEqual([2, 4, 6, 8, 10]);
  });

  it('a value that is another variable, an input, or that of another update is copied', async () => {
    const state = (name: string, data: readonly number[]) =>
      engine.variable(name, [3], { kind: 'state', data: Float32Array.from(data) });
    const [a, b, c, d, e1] = [
      state('a', [1, 2, 3]),
      state('b', [0, 0, 0]),
      ...['c', 'd', 'e'].map((n) => state(n, [0, 0, 0])),
    ];
    const program = await engine.compile('copies', { x: { shape: [3], dtype: 'f32' } }, ({ x }) => {
      const sum = e.add(a.tensor, x);
      return {
        updates: [
          { target: b, value: a.tensor },
          { target: a, value: e.constant(0, [3]) },
          { target: c!, value: x },
          { target: d!, value: sum },
          { target: e1!, value: sum },
        ],
      };
    });
    program.run({ x: Float32Array.of(10, 20, 30) });
    const values = await Promise.all([a, b, c!, d!, e1!].map(async (v) => [...(await engine.read(v))]));
    expect(values).toEqual([
      [0, 0, 0],
      [1, 2, 3],
      [10, 20, 30],
      [11, 22, 33],
      [11, 22, 33],
    ]);
  });

  it('AdamW follows PyTorch: weight decay, bias correction, clipping by the global norm', async () => {
    const parameters = new Parameters(engine, [
      { name: 'p', shape: [2], data: Float32Array.of(1, -2), decay: true },
      { name: 'q', shape: [1], data: Float32Array.of(3), decay: false, lrMultiplier: 2 },
    ]);
    const optimizer = new AdamW(engine, parameters, { ...ADAMW_DEFAULTS, weightDecay: 0.1, maxGradNorm: 1 });
    const program = await engine.compile('adamw', ADAMW_INPUTS, (inputs) => {
      const loss = e.add(sum(e.square(parameters.get('p').tensor)), sum(e.square(parameters.get('q').tensor)));
      return { updates: optimizer.step(loss, inputs).updates };
    });
    const host = { p: [1, -2], q: [3], m: [0, 0, 0], v: [0, 0, 0] };
    for (let t = 1; t <= 3; t++) {
      program.run(optimizer.inputs(t, 0.05));
      const grads = [...host.p, ...host.q].map((w) => 2 * w);
      const scale = Math.min(1, 1 / (Math.hypot(...grads) + 1e-6));
      const next = [...host.p, ...host.q].map((w, i) => {
        const lr = i === 2 ? 0.1 : 0.05;
        const g = grads[i]! * scale;
        host.m[i] = 0.9 * host.m[i]! + 0.1 * g;
        host.v[i] = 0.999 * host.v[i]! + 0.001 * g * g;
        const direction = host.m[i] / (1 - 0.9 ** t) / (Math.sqrt(host.v[i] / (1 - 0.999 ** t)) + 1e-8);
        return w * (i === 2 ? 1 : 1 - lr * 0.1) - lr * direction;
      });
      host.p = next.slice(0, 2);
      host.q = next.slice(2);
    }
    const values = await parameters.read();
    [...host.p, ...host.q].forEach((w, i) => expect([...values.get('p')!, ...values.get('q')!][i]).toBeCloseTo(w, 5));
  });
});

describe('memory', () => {
  it('a replay allocates and compiles nothing, and the plan is what is allocated', async () => {
    engine.arena.release();
    const program = await engine.compile('chain', { x: { shape: [64, 32], dtype: 'f32' } }, ({ x }) => {
      let y = x;
      for (let i = 0; i < 6; i++) y = e.tanh(matmul(matmul(y, y, { transposeB: true }), y));
      return { outputs: { y } };
    });
    const data = new Float32Array(64 * 32).fill(0.01);
    program.run({ x: data });
    await engine.finish();
    const { created } = engine.memory;
    const { built } = engine.pipelines;
    for (let i = 0; i < 3; i++) program.run({ x: data });
    await engine.finish();
    expect(engine.memory.created).toBe(created);
    expect(engine.pipelines.built).toBe(built);
    expect(engine.arena.bytes).toBe(program.memory.activations);
    expect(Math.max(...program.memory.timeline)).toBeLessThanOrEqual(program.memory.activations);
    // Two of the large intermediates are alive at once, not six.
    expect(program.memory.activations).toBeLessThan(3 * 64 * 64 * 4);
  });

  it('what is needed late is computed late', async () => {
    const spec = { shape: [64, 2], dtype: 'f32' } as const;
    const square = { shape: [64, 64], dtype: 'f32' } as const;
    const program = await engine.compile('late', { x: spec, y: spec, w: square }, ({ x, y, w }) => {
      const early = matmul(x, y, { transposeB: true });
      let z = matmul(y, x, { transposeB: true });
      for (let i = 0; i < 4; i++) z = e.tanh(matmul(z, w));
      return { outputs: { sums: sumLast(e.mul(early, z)) } };
    });
    // Two of the square matrices at a time, not the early one beside them.
    expect(program.memory.activations).toBeLessThan(2.5 * 64 * 64 * 4);
    expect(program.dispatches.at(-2)!.kernel.name).toBe('matmul.nt');
  });

  it('outputs stay readable while a larger program is compiled, and are gone once it has run', async () => {
    engine.arena.release();
    const x = engine.variable('x', [3], { kind: 'state', data: Float32Array.of(1, 2, 3) }).tensor;
    const small = await engine.compile('small', {}, () => ({ outputs: { y: e.mul(x, 2), z: e.mul(x, 3) } }));
    await expect(small.read('y')).rejects.toThrow('small: output y is gone; read it after a run');
    small.run();
    expect(await small.read('y')).toEqual(Float32Array.of(2, 4, 6));
    const large = await engine.compile('large', { v: { shape: [999], dtype: 'f32' } }, ({ v }) => ({
      outputs: { y: e.tanh(v) },
    }));
    expect(await small.read('z')).toEqual(Float32Array.of(3, 6, 9));
    large.run({ v: new Float32Array(999) });
    await expect(small.read('z')).rejects.toThrow('before another program runs');
  });

  it('names the input that is missing or too long', async () => {
    const program = await engine.compile('double', { x: { shape: [3], dtype: 'f32' } }, ({ x }) => ({
      outputs: { y: e.mul(x, 2) },
    }));
    expect(() => {
      program.run();
    }).toThrow('double: input x needs 3 values, got none');
    expect(() => {
      program.run({ x: new Float32Array(4) });
    }).toThrow('got 4');
  });
});

describe('resources', () => {
  it('`using` gives back what a program, parameters and an optimizer own', async () => {
    engine.arena.release();
    const before = engine.memory.current;
    {
      const data = Float32Array.of(1, 2);
      using parameters = new Parameters(engine, [{ name: 'w', shape: [2], data, decay: false }]);
      using optimizer = new AdamW(engine, parameters, ADAMW_DEFAULTS);
      using program = await engine.compile('twice', {}, () => ({
        outputs: { y: e.mul(parameters.get('w').tensor, 2) },
      }));
      program.run();
      expect(await program.read('y')).toEqual(Float32Array.of(2, 4));
      expect(optimizer.state).toHaveLength(2);
    }
    engine.arena.release();
    expect(engine.memory.current).toBe(before);
    using other = await Engine.open();
    expect(other.memory.current).toBe(0);
  });

  it('`measurePeak` counts the most that is held at a time', async () => {
    engine.arena.release();
    const before = engine.memory.current;
    const { value, peakBytes } = await engine.measurePeak(() => {
      for (const size of [1000, 2000]) engine.free(engine.variable('x', [size], { kind: 'state' }));
      return 'done';
    });
    expect([value, peakBytes]).toEqual(['done', before + 8000]);
  });
});

describe('copies', () => {
  const numbers = Float32Array.from({ length: 24 }, (_, i) => i - 11.5);
  it('permute, slice and cast between storage types', async () => {
    const x = engine.variable('x', [2, 3, 4], { kind: 'state', data: numbers }).tensor;
    const moved = await engine.evaluate(permute(x, [2, 0, 1]));
    expect([...moved]).toEqual(
      [...moved].map((_, i) => numbers[(Math.floor(i / 3) % 2) * 12 + (i % 3) * 4 + Math.floor(i / 6)]),
    );
    expect([...(await engine.evaluate(slice(x, 1, 1, 2)))]).toEqual([
      ...numbers.slice(4, 12),
      ...numbers.slice(16, 24),
    ]);
    if (engine.traits.f16) expect([...(await engine.evaluate(cast(cast(x, 'f16'), 'f32')))]).toEqual([...numbers]);
  });
});
