/** Protects: what the backward pass computes again equals what it would have kept, bit for bit, and memory falls by it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import type { CompileOptions, Program } from '../../engine/compile/program.ts';
import { gradients } from '../../engine/autograd/gradients.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { attention } from '../../engine/ops/attention.ts';
import { add, dropout, gelu, square } from '../../engine/ops/elementwise.ts';
import { gatherRows } from '../../engine/ops/gather.ts';
import { layerNorm } from '../../engine/ops/layernorm.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { checkpoint } from '../../engine/ops/saved-for-backward.ts';
import { sum } from '../../engine/ops/reduce.ts';
import { hostRandom } from '../../engine/random.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

const [BATCH, SEQ, HEADS, WIDTH, LAYERS] = [5, 11, 2, 8, 3];
const TOKENS = BATCH * SEQ;

const random = hostRandom(3, 1);
function numbers(size: number): Float32Array {
  return Float32Array.from({ length: size }, () => random.normal() * 0.3);
}

interface Layer {
  readonly qkv: readonly Tensor[];
  readonly up: Tensor;
  readonly down: Tensor;
  readonly gamma: Tensor;
}

/** A stack of small transformer layers with dropout, and its loss. Made once, so that all modes see the same weights. */
function network(): { trained: Tensor[]; loss: (random: { seed: Tensor; step: Tensor }) => Tensor } {
  const variable = (name: string, shape: number[]): Tensor =>
    engine.variable(name, shape, { kind: 'weights', data: numbers(shape.reduce((a, b) => a * b)) }).tensor;
  const table = variable('table', [11, WIDTH]);
  const integers = (name: string, shape: number[], data: number[]): Tensor =>
    engine.variable(name, shape, { kind: 'state', dtype: 'i32', data: Int32Array.from(data) }).tensor;
  const ids = integers(
    'ids',
    [TOKENS],
    Array.from({ length: TOKENS }, (_, i) => (i * 5) % 11),
  );
  const mask = integers(
    'mask',
    [BATCH, SEQ],
    Array.from({ length: TOKENS }, (_, i) => Number(i % SEQ < 8)),
  );
  const layers = Array.from({ length: LAYERS }, (_, l): Layer => ({
    qkv: ['q', 'k', 'v'].map((n) => variable(`${n}${l}`, [WIDTH, WIDTH])),
    up: variable(`up${l}`, [4 * WIDTH, WIDTH]),
    down: variable(`down${l}`, [WIDTH, 4 * WIDTH]),
    gamma: variable(`gamma${l}`, [WIDTH]),
  }));
  const spec = { batch: BATCH, seq: SEQ, heads: HEADS, headDim: WIDTH / HEADS, causal: false, scale: 0.5 };
  const loss = (state: { seed: Tensor; step: Tensor }): Tensor => {
    let x = gatherRows(table, ids);
    layers.forEach(({ qkv, up, down, gamma }, l) => {
      const input = checkpoint(x);
      const [q, k, v] = qkv.map((w) => matmul(input, w, { transposeB: true })) as [Tensor, Tensor, Tensor];
      const middle = layerNorm(add(attention(q, k, v, mask, spec), input), gamma, gamma, 1e-5);
      const wide = dropout(gelu(matmul(middle, up, { transposeB: true })), 0.3, l, state);
      x = layerNorm(add(matmul(wide, down, { transposeB: true }), middle), gamma, gamma, 1e-5);
    });
    return sum(square(x));
  };
  return { trained: layers.flatMap(({ qkv, up, down, gamma }) => [...qkv, up, down, gamma]), loss };
}

describe('recomputation', () => {
  const compiled = new Map<string, { program: Program; values: Float32Array[] }>();
  const MODES: Record<string, CompileOptions> = {
    nothing: { recompute: 'nothing' },
    cheap: {},
    layers: { recompute: 'layers' },
    half: { activations: 'f16' },
    'half layers': { recompute: 'layers', activations: 'f16' },
  };

  beforeAll(async () => {
    const { trained, loss } = network();
    const inputs = { seed: { shape: [1], dtype: 'u32' }, step: { shape: [1], dtype: 'u32' } } as const;
    for (const [mode, options] of Object.entries(MODES)) {
      const trace = (state: { seed: Tensor; step: Tensor }) => {
        const value = loss(state);
        const grads = gradients(value, trained).map((g, i) => [`g${i}`, g as Tensor] as const);
        return { outputs: { loss: value, ...Object.fromEntries(grads) } };
      };
      const program = await engine.compile(mode, inputs, trace, options);
      program.run({ seed: Uint32Array.of(1), step: Uint32Array.of(2) });
      const names = ['loss', ...trained.map((_, i) => `g${i}`)];
      const values: Float32Array[] = [];
      for (const name of names) values.push(await program.read(name));
      compiled.set(mode, { program, values });
    }
  });
  const of = (mode: string): { program: Program; values: Float32Array[] } => compiled.get(mode)!;

  it.each(['cheap', 'layers'])('%s: loss and gradients are those of a backward pass that keeps everything', (mode) => {
    expect(of('nothing').values.every((v) => v.some((x) => x !== 0))).toBe(true);
    expect(of(mode).values).toEqual(of('nothing').values);
  });

  it.each(['half', 'half layers'])('%s: the loss is the same, gradients differ by the rounding of f16', (mode) => {
    expect(of(mode).values[0]).toEqual(of('nothing').values[0]);
    let differences = 0;
    of(mode).values.forEach((values, i) => {
      const exact = of('nothing').values[i]!;
      const norm = Math.hypot(...exact);
      const error = Math.hypot(...values.map((v, k) => v - exact[k]!));
      differences += error;
      expect(error / norm).toBeLessThan(4e-3);
    });
    expect(differences).toBeGreaterThan(0);
  });

  it('saves fewer bytes the more may be computed again, and halves them in f16', () => {
    const saved = (mode: string): number => of(mode).program.memory.saved;
    expect(saved('cheap')).toBeLessThan(0.75 * saved('nothing'));
    expect(saved('layers')).toBeLessThan(0.6 * saved('cheap'));
    expect(saved('half')).toBeLessThan(0.6 * saved('cheap'));
  });

  it('lets the planned peak fall', () => {
    const peak = (mode: string): number => Math.max(...of(mode).program.memory.timeline);
    expect(peak('cheap')).toBeLessThan(0.85 * peak('nothing'));
    expect(peak('layers')).toBeLessThan(0.8 * peak('cheap'));
    expect(peak('half')).toBeLessThan(0.8 * peak('cheap'));
  });

  it('saves exactly the cut: what is computed again is not kept beside it', () => {
    // Per layer q, k, v, attention with its log-sum-exp, four times that before GELU, and the sum that is normalised last. The other
    // sum follows from the attention and the layer's input, that from the layer before, and the first from the embedding.
    const unit = TOKENS * WIDTH * 4;
    const logSumExp = BATCH * HEADS * SEQ * 4;
    expect(of('cheap').program.memory.saved).toBe(LAYERS * (9 * unit + logSumExp));
  });

  it('replays without a graph, buffers or pipelines', async () => {
    const { program } = of('layers');
    const before = [engine.memory.created, engine.pipelines.built];
    program.run({ seed: Uint32Array.of(1), step: Uint32Array.of(2) });
    await engine.finish();
    expect([engine.memory.created, engine.pipelines.built]).toEqual(before);
    expect(await program.read('loss')).toEqual(of('nothing').values[0]);
  });
});
