/** Protects: tuning — what is wrong is never timed, what is fast is picked, state stays, and the cache is a cache. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Program } from '../../../engine/compile/program.ts';
import { Engine } from '../../../engine/engine.ts';
import { emit, type Op, type Tensor } from '../../../engine/graph/tensor.ts';
import * as e from '../../../engine/ops/elementwise.ts';
import { checkConfigs } from '../../../engine/tune/check.ts';
import { cacheFile, TuningCache } from '../../../engine/tune/tuning-cache.ts';
import { Tuner } from '../../../engine/tune/tuner.ts';
import { setWarningHandler } from '../../../engine/warnings.ts';
import type { Kernel } from '../../../kernels/kernel.ts';
import type { ConfigSelector, KernelConfigs } from '../../../kernels/config.ts';
import type { Variable } from '../../../engine/variable.ts';

let engine: Engine;
let dir: string;
beforeAll(async () => {
  engine = await Engine.open();
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(async () => {
  engine.close();
  await rm(dir, { recursive: true });
});

/** Doubles 64 numbers, in some way. `idle` is what a dispatch over a limit is like. */
const BODIES: Readonly<Record<string, string>> = {
  slow: 'var v = x[i]; for (var n = 0u; n < 100000u; n++) { v = fract(v * 1.7 + 0.1); } y[i] = x[i] * 2.0 + select(0.0, v, v > 9.0);',
  idle: '',
  wrong: 'y[i] = x[i] * 2.001;',
  partial: 'if (i < 63u) { y[i] = x[i] * 2.0; }',
  fast: 'y[i] = x[i] * 2.0;',
};

const configsOf = (names: readonly string[], revision = ''): KernelConfigs => ({
  family: 'double',
  task: 'n64',
  names,
  source: (name) => `${BODIES[name]} ${revision}`,
});

function kernelOf(name: string): Kernel {
  return {
    name: 'double',
    wgsl: `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) { let keep = x[0] + y[0]; ${BODIES[name]} }`,
    bindings: [
      { name: 'x', dtype: 'f32', role: 'in' },
      { name: 'y', dtype: 'f32', role: 'out' },
    ],
    params: [],
    workgroups: [1, 1, 1],
    flops: 64,
    bytes: 512,
  };
}

function double(x: Tensor, names: readonly string[]): Tensor {
  const op: Op = {
    name: 'double',
    lowering: {
      kind: 'kernel',
      kernel: (_node, _traits, { selectConfig }) => kernelOf(selectConfig(configsOf(names))),
    },
  };
  return emit(op, [x], undefined, [64]);
}

/** total += double(double(x)): two dispatches with a choice, and state. */
function compiler(total: Variable, names: readonly string[]): (selectConfig: ConfigSelector) => Promise<Program> {
  return (selectConfig) =>
    engine.compile(
      'doubling',
      { x: { shape: [64], dtype: 'f32' } },
      ({ x }) => ({ updates: [{ target: total, value: e.add(total.tensor, double(double(x, names), names)) }] }),
      { selectConfig },
    );
}

const inputs = { x: Float32Array.from({ length: 64 }, (_, i) => i - 20) };

const cacheAt = (name: string): Promise<TuningCache> =>
  TuningCache.load(join(dir, name, 'tuning.json'), engine.adapter);

describe('the check', () => {
  it.each([
    ['fast', 0],
    ['wrong', 2],
    ['partial', 2],
    ['idle', 2],
  ])('of a config that is %s finds %i faults', async (name, count) => {
    const total = engine.variable('total', [64], { kind: 'state' });
    const compile = compiler(total, Object.keys(BODIES));
    const base = await compile(() => 'slow');
    const candidate = await compile(() => name);
    const faults = await checkConfigs(engine, base, [candidate], inputs);
    // Equal pairs of sources are compared once.
    expect(faults).toHaveLength(Math.min(count, 1));
    expect([...(await engine.read(total))]).toEqual([...inputs.x].map((x) => 4 * x));
    base.dispose();
    candidate.dispose();
    engine.free(total);
  });
});

describe('the tuner', () => {
  it('picks the fastest of the right configs, changes no state, and remembers', async () => {
    const total = engine.variable('total', [64], { kind: 'state', data: new Float32Array(64).fill(1) });
    const log: string[] = [];
    const tuner = new Tuner(engine, await cacheAt('tune'), (text) => log.push(text));
    const program = await tuner.tune(compiler(total, Object.keys(BODIES)), inputs);
    expect(program.dispatches.map((d) => d.config)).toEqual(['fast', 'fast', undefined]);
    expect(log.filter((line) => line.includes('is wrong here'))).toHaveLength(3);
    expect(log.at(-1)).toMatch(/double n64: fast \(ms: slow [\d.]+, fast [\d.]+\)/);
    expect([...(await engine.read(total))]).toEqual(new Array(64).fill(1));
    program.run(inputs);
    expect([...(await engine.read(total))]).toEqual([...inputs.x].map((x) => 1 + 4 * x));

    const again: string[] = [];
    const cached = new Tuner(engine, await cacheAt('tune'), (text) => again.push(text));
    const second = await cached.tune(compiler(total, Object.keys(BODIES)), inputs);
    expect(second.dispatches.map((d) => d.config)).toEqual(['fast', 'fast', undefined]);
    expect(again).toEqual([]);
  });

  it('keeps the default where nothing is better', async () => {
    const total = engine.variable('total', [64], { kind: 'state' });
    const tuner = new Tuner(engine, await cacheAt('keep'), () => undefined);
    const program = await tuner.tune(compiler(total, ['fast', 'slow']), inputs);
    expect(program.dispatches[0]!.config).toBe('fast');
  });
});

describe('the cache', () => {
  const names = ['slow', 'fast'];

  it('without a file says what the tables say', async () => {
    const cache = await cacheAt('none');
    expect(cache.find(configsOf(names))).toBeUndefined();
    expect(cache.selectConfig(configsOf(names))).toBe('slow');
  });

  it('holds per adapter, and only as long as the sources are the same', async () => {
    const path = join(dir, 'adapters', 'tuning.json');
    const other = { ...engine.adapter, device: 'another' };
    for (const [adapter, name] of [[engine.adapter, 'fast'] as const, [other, 'slow'] as const]) {
      const cache = await TuningCache.load(path, adapter);
      cache.set(configsOf(names), name);
      await cache.save();
    }
    const cache = await cacheAt('adapters');
    expect(cache.find(configsOf(names))).toBe('fast');
    expect((await cacheAt('adapters')).find(configsOf(names, 'a new generator'))).toBeUndefined();
    expect(cache.find(configsOf(['fast']))).toBeUndefined();
    const elsewhere = await TuningCache.load(path, other);
    expect(elsewhere.find(configsOf(names))).toBe('slow');
    expect(await readdir(join(dir, 'adapters'))).toEqual(['tuning.json']);
  });

  it.each(['', '{"format": "light-pe', '{"format":"light-peft/tuning","version":9,"adapters":{}}'])(
    'ignores a file that is broken (%j), says so, and writes it anew',
    async (content) => {
      const path = join(dir, 'tuning.json');
      await writeFile(path, content);
      const warnings: string[] = [];
      const before = setWarningHandler((text) => warnings.push(text));
      onTestFinished(() => void setWarningHandler(before));
      const load = (): Promise<TuningCache> => TuningCache.load(path, engine.adapter);
      const cache = await load();
      expect(cache.selectConfig(configsOf(names))).toBe('slow');
      expect(warnings.join()).toMatch(/tuning\.json: .*what was tuned is not used/);
      cache.set(configsOf(names), 'fast');
      await cache.save();
      expect((await load()).selectConfig(configsOf(names))).toBe('fast');
      expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ version: 1 });
    },
  );

  it('lies where the environment says', () => {
    expect(cacheFile({ LIGHT_PEFT_CACHE: 'a' })).toBe(join('a', 'tuning.json'));
    expect(cacheFile({ XDG_CACHE_HOME: 'b' })).toBe(join('b', 'light-peft', 'tuning.json'));
    expect(cacheFile({})).toMatch(/\.cache.light-peft.tuning\.json$/);
  });
});
