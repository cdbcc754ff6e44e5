/** Protects: `--profile` — timed runs compute what others do, kernels are summed and set against the floor, the trace's format. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Engine } from '../../../engine/engine.ts';
import * as e from '../../../engine/ops/elementwise.ts';
import { UserError } from '../../../engine/errors.ts';
import { matmul } from '../../../engine/ops/matmul.ts';
import { nanosecondsOf, Profiler, type ProgramProfile } from '../../../engine/profile/profiler.ts';
import { measureRates } from '../../../engine/profile/rates.ts';
import { summarise } from '../../../engine/profile/summary.ts';
import { traceOf } from '../../../engine/profile/trace.ts';
import { PassTimer } from '../../../engine/device/pass-timer.ts';
import { profileTable } from '../../../cli/profile.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

const dispatch = { scopes: [] as string[], workgroups: [2, 1, 1], flops: 4e9, bytes: 1e9, memory: 256 } as const;
const PROFILE: ProgramProfile = {
  name: 'train 4x8',
  runs: 9,
  dispatches: [
    { ...dispatch, name: 'matmul.nt', shape: 'm 2 n 3 k 4+5', scopes: ['a/b', 'a/c'], nanoseconds: 3e9 },
    { ...dispatch, name: 'layer_norm', shape: '2×3', flops: 0, nanoseconds: 2e9 },
    { ...dispatch, name: 'matmul.nt', shape: 'm 2 n 3 k 4+5', nanoseconds: 1e9 },
  ],
};

it('a timed run does what a run does, from the second on, and says shapes as people do', async () => {
  const count = engine.variable('count', [1], { kind: 'state' });
  const x = engine.variable('x', [6, 8], { kind: 'state' });
  const program = await engine.compile('counting', {}, () => ({
    outputs: { y: e.add(matmul(x.tensor, x.tensor, { transposeB: true }), count.tensor) },
    updates: [{ target: count, value: e.add(count.tensor, 1) }],
  }));
  const profiler = new Profiler(engine);
  engine.profiler = profiler;
  const once = await engine.compile('once', {}, () => ({ outputs: { y: e.neg(x.tensor) } }));
  once.run();
  for (let i = 0; i < 9; i++) program.run();
  const profiles = await profiler.profiles();
  engine.profiler = undefined;
  expect([...(await engine.read(count))]).toEqual([9]);
  expect([...(await program.read('y'))]).toEqual(new Array(36).fill(8));
  expect(profiles).toHaveLength(1);
  expect(profiles[0]).toMatchObject({ name: 'counting', runs: 9 });
  expect(profiles[0]!.dispatches.map(({ name, shape }) => `${name} ${shape}`)).toContain('matmul.nt m 6 n 6 k 8');
  expect(nanosecondsOf(profiles[0]!)).toBeGreaterThan(0);
  program.dispose();
  once.dispose();
});

it('times more passes than one query set holds', async () => {
  const timer = new PassTimer(engine, 2050);
  const encoder = engine.device.createCommandEncoder();
  for (let i = 0; i < 2050; i++) encoder.beginComputePass({ timestampWrites: timer.writes(i) }).end();
  timer.resolve(encoder);
  engine.device.queue.submit([encoder.finish()]);
  const times = await timer.read();
  expect(times).toHaveLength(2050);
  expect(times.every((t) => t >= 0 && t < 1e9)).toBe(true);
});

it('says what is missing where the adapter cannot time', () => {
  const engine = { device: { features: new Set() }, adapter: { device: 'Some GPU' } } as unknown as Engine;
  expect(() => new Profiler(engine)).toThrow(UserError);
  expect(() => new Profiler(engine)).toThrow(/`profile`: the adapter Some GPU has no timestamp-query/);
});

it('sums calls of a kernel and sets them against the floor', () => {
  const rows = summarise(PROFILE, { flops: 4e9, bytes: 2e9 });
  expect(rows).toEqual([
    {
      ...{ name: 'matmul.nt', shape: 'm 2 n 3 k 4+5', calls: 2, seconds: 4, share: 4 / 6 },
      ...{ flopsPerSecond: 2e9, bytesPerSecond: 0.5e9, overFloor: 2 },
    },
    {
      ...{ name: 'layer_norm', shape: '2×3', calls: 1, seconds: 2, share: 2 / 6 },
      ...{ flopsPerSecond: 0, bytesPerSecond: 0.5e9, overFloor: 4 },
    },
  ]);
  const table = profileTable(PROFILE, { flops: 4e9, bytes: 2e9 });
  expect(table).toMatch(/matmul\.nt +m 2 n 3 k 4\+5 +2 +4,?000 +67% +2\.00 +0\.500 +2\.00×/);
  expect(Math.max(...table.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
});

it('measures rates above zero', async () => {
  const { flops, bytes } = await measureRates(engine);
  expect(flops).toBeGreaterThan(1e8);
  expect(bytes).toBeGreaterThan(1e7);
});

it('writes trace events of Chrome’s format: one per dispatch end to end, and the memory counter', () => {
  const { traceEvents, otherData } = traceOf([PROFILE], engine.adapter);
  expect(otherData.adapter).toBe(engine.adapter.device);
  const kernels = traceEvents.filter((event) => event.ph === 'X');
  expect(kernels.map(({ name, ts, dur }) => [name, ts, dur])).toEqual([
    ['matmul.nt', 0, 3e6],
    ['layer_norm', 3e6, 2e6],
    ['matmul.nt', 5e6, 1e6],
  ]);
  expect(kernels[0]!.args).toEqual({
    scope: 'a/b, a/c',
    shape: 'm 2 n 3 k 4+5',
    workgroups: '2×1×1',
    flops: 4e9,
    bytes: 1e9,
  });
  const counters = traceEvents.filter((event) => event.ph === 'C');
  expect(counters.map(({ ts, args }) => [ts, args.bytes])).toEqual([
    [0, 256],
    [3e6, 256],
    [5e6, 256],
    [6e6, 0],
  ]);
});
