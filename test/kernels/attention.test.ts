/** Fused attention and its gradients against float64 attention with a [seq, seq] matrix. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assertClose, randomValues } from '../../engine/testing/index.ts';
import {
  attentionBackwardKV,
  attentionBackwardQ,
  attentionForward,
  attentionConfigs,
  type AttentionSpec,
} from '../../kernels/attention.ts';
import type { DeviceTraits } from '../../kernels/kernel.ts';
import { openTestDevice } from './harness.ts';

const gpu = await openTestDevice();

interface Inputs {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly dout: Float32Array;
  readonly mask: Int32Array;
  readonly head_mask: Float32Array;
  readonly position: Int32Array;
}

/** Every query, head and element by the textbook formulas; gradients through the whole probability row. */
function reference(spec: AttentionSpec, inputs: Inputs) {
  const { batch, seq, keys, heads, kvHeads, headDim, causal, scale, headMask } = spec;
  const [o, dq] = [new Float64Array(inputs.q.length), new Float64Array(inputs.q.length)];
  const [dk, dv] = [new Float64Array(inputs.k.length), new Float64Array(inputs.k.length)];
  const lse = new Float64Array(batch * heads * seq);
  const dims = Array.from({ length: headDim }, (_, d) => d);
  const shift = spec.position ? inputs.position[0]! : 0;
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      if (headMask && inputs.head_mask[h] === 0) continue;
      const kv = spec.kvHeadOf?.[h] ?? Math.floor((h * kvHeads) / heads);
      const query = (s: number) => ((b * seq + s) * heads + h) * headDim;
      const key = (s: number) => ((b * keys + s) * kvHeads + kv) * headDim;
      const product = (x: ArrayLike<number>, i: number, y: ArrayLike<number>, j: number) =>
        dims.reduce((sum, d) => sum + x[query(i) + d]! * y[key(j) + d]!, 0);
      for (let i = 0; i < seq; i++) {
        const seen = Array.from({ length: keys }, (_, j) => j).filter(
          (j) =>
            inputs.mask[b * keys + j] &&
            (!causal || j <= shift + i) &&
            (!spec.segmented || inputs.mask[b * keys + j] === inputs.mask[b * keys + i]),
        );
        if (seen.length === 0) continue;
        const scores = seen.map((j) => scale * product(inputs.q, i, inputs.k, j));
        const peak = Math.max(...scores);
        const logSum = peak + Math.log(scores.reduce((sum, s) => sum + Math.exp(s - peak), 0));
        lse[(b * heads + h) * seq + i] = logSum;
        const w = scores.map((s) => Math.exp(s - logSum));
        const dw = seen.map((j) => product(inputs.dout, i, inputs.v, j));
        const mean = w.reduce((sum, p, n) => sum + p * dw[n]!, 0);
        seen.forEach((j, n) => {
          const ds = w[n]! * (dw[n]! - mean) * scale;
          for (const d of dims) {
            o[query(i) + d]! += w[n]! * inputs.v[key(j) + d]!;
            dv[key(j) + d]! += w[n]! * inputs.dout[query(i) + d]!;
            dq[query(i) + d]! += ds * inputs.k[key(j) + d]!;
            dk[key(j) + d]! += ds * inputs.q[query(i) + d]!;
          }
        });
      }
    }
  }
  return { o, lse, dq, dk, dv };
}

function data(spec: AttentionSpec, maskOf: (b: number, s: number) => number, position = 0): Inputs {
  const { batch, seq, keys, heads, kvHeads, headDim } = spec;
  const of = (rows: number, width: number, seed: number) => randomValues(batch * rows * width * headDim, seed + seq);
  return {
    q: of(seq, heads, 1),
    k: of(keys, kvHeads, 2),
    v: of(keys, kvHeads, 3),
    dout: of(seq, heads, 4),
    mask: Int32Array.from({ length: batch * keys }, (_, i) => maskOf(Math.floor(i / keys), i % keys)),
    head_mask: Float32Array.from({ length: heads }, (_, h) => (h % 2 ? 0 : 0.5)),
    position: Int32Array.of(position),
  };
}

/** Self-attention of as many query heads as key heads. */
function plain(spec: Omit<AttentionSpec, 'keys' | 'kvHeads' | 'position'>): AttentionSpec {
  return { ...spec, keys: spec.seq, kvHeads: spec.heads, position: false };
}

/** @param config the place of the config in the list */
async function check(spec: AttentionSpec, inputs: Inputs, traits: DeviceTraits, config = 0): Promise<void> {
  const { name } = attentionConfigs(traits)[config]!;
  const size = inputs.q.length;
  const queries = spec.batch * spec.heads * spec.seq;
  const expected = reference(spec, inputs);
  const forward = await gpu.run(attentionForward(spec, traits, name), { ...inputs }, { o: size, lse: queries });
  assertClose(forward.o!, expected.o, 1e-5);
  assertClose(forward.lse!, expected.lse, 1e-5);
  const saved = { ...inputs, o: forward.o!, lse: forward.lse! };
  const { dq, delta } = await gpu.run(attentionBackwardQ(spec, traits, name), saved, {
    dq: size,
    delta: queries,
  });
  assertClose(dq!, expected.dq, 2e-5);
  const backward = await gpu.run(
    attentionBackwardKV(spec, traits, name),
    { ...saved, delta: delta! },
    { dk: inputs.k.length, dv: inputs.k.length },
  );
  assertClose(backward.dk!, expected.dk, 2e-5);
  assertClose(backward.dv!, expected.dv, 2e-5);
}

/** Every combination here is three pipelines to compile, so few; the portable kernels compile slowly on CPU rasterisers. */
const configs: {
  name: string;
  traits: DeviceTraits;
  texts: Pick<AttentionSpec, 'headDim' | 'causal' | 'headMask'>[];
}[] = [
  {
    name: 'this adapter',
    traits: gpu.traits,
    texts: [
      { headDim: 3, causal: true, headMask: false },
      { headDim: 12, causal: false, headMask: true },
      { headDim: 20, causal: true, headMask: true },
      { headDim: 36, causal: false, headMask: false },
    ],
  },
  {
    name: 'a device without subgroups',
    traits: { ...gpu.traits, software: false, subgroupSize: 0 },
    texts: [
      { headDim: 3, causal: false, headMask: false },
      { headDim: 8, causal: true, headMask: true },
    ],
  },
];

describe.each(configs)('attention on $name', ({ traits, texts }) => {
  it.each(texts)('equals float64 for ragged lengths, padding, several heads: %o', async (text) => {
    const shapes = fc.record({
      batch: fc.constantFrom(1, 2),
      seq: fc.constantFrom(1, 7, 17, 70),
      heads: fc.constantFrom(1, 2, 3),
      padding: fc.nat(40),
    });
    await fc.assert(
      fc.asyncProperty(shapes, async ({ padding, ...shape }) => {
        const spec = plain({ ...shape, ...text, scale: text.headDim ** -0.5 });
        const length = (b: number) => Math.max(1, spec.seq - (b === 0 ? 0 : padding));
        await check(
          spec,
          data(spec, (b, s) => (s < length(b) ? 1 : 0)),
          traits,
        );
      }),
      { numRuns: 2, seed: 8, examples: [[{ batch: 2, seq: 67, heads: 2, padding: 30 }]] },
    );
  });

  it.each([1, 2])('equals float64 in config %i, which a tuner may choose', async (config) => {
    const spec = plain({ batch: 2, seq: 35, heads: 2, headDim: 4, causal: true, scale: 0.3, headMask: false });
    await check(
      spec,
      data(spec, (b, s) => (s < 35 - 9 * b ? 1 : 0)),
      traits,
      config,
    );
  });

  it('equals float64 where several query heads share a key head, in groups or by a table', async () => {
    const layouts = fc.constantFrom(
      { heads: 4, kvHeads: 2 },
      { heads: 3, kvHeads: 1 },
      { heads: 5, kvHeads: 2, kvHeadOf: [0, 0, 0, 1, 1] },
      { heads: 5, kvHeads: 3, kvHeadOf: [2, 0, 2, 0, 2] },
    );
    const shapes = fc.record({ batch: fc.constantFrom(1, 2), seq: fc.constantFrom(35, 45), padding: fc.nat(8) });
    await fc.assert(
      fc.asyncProperty(layouts, shapes, async (layout, { padding, ...shape }) => {
        const sizes = { ...layout, ...shape, keys: shape.seq, headDim: 4 };
        const spec = { ...sizes, causal: true, position: false, scale: 0.4, headMask: true };
        await check(
          spec,
          data(spec, (b, s) => (b === 0 || s >= padding ? 1 : 0)),
          traits,
        );
      }),
      { numRuns: 4, seed: 3 },
    );
  });

  it('equals float64 for segments, each of which sees itself alone', async () => {
    const layouts = fc.record({
      seq: fc.constantFrom(7, 40, 71),
      batch: fc.constantFrom(1, 2),
      causal: fc.constantFrom(true, false),
      segment: fc.constantFrom(1, 5, 17, 33),
      padding: fc.constantFrom(0, 6),
    });
    await fc.assert(
      fc.asyncProperty(layouts, async ({ segment, padding, ...sizes }) => {
        const heads = { heads: 4, kvHeads: 2, headDim: 4, headMask: true };
        const spec = { ...sizes, ...heads, keys: sizes.seq, position: false, segmented: true, scale: 0.4 };
        // The second sequence has segments of other lengths.
        const number = (b: number, s: number): number =>
          s >= spec.seq - padding ? 0 : 1 + Math.floor(s / (segment + 2 * b));
        await check(spec, data(spec, number), traits);
      }),
      {
        numRuns: 4,
        seed: 5,
        examples: [[{ seq: 71, batch: 2, causal: true, segment: 17, padding: 6 }]],
      },
    );
  });

  it('equals float64 for queries anywhere in a longer sequence of keys', async () => {
    const places = fc.record({
      seq: fc.constantFrom(1, 3, 40),
      position: fc.constantFrom(0, 1, 7, 33, 60),
      batch: fc.constantFrom(1, 2),
    });
    await fc.assert(
      fc.asyncProperty(places, async ({ position, ...sizes }) => {
        const spec = {
          ...sizes,
          keys: 101,
          heads: 4,
          kvHeads: 2,
          headDim: 4,
          causal: true,
          position: true,
          scale: 0.4,
        };
        const masked = { ...spec, headMask: false };
        await check(
          masked,
          data(masked, (b, s) => (s >= 5 * b ? 1 : 0), position),
          traits,
        );
      }),
      { numRuns: 4, seed: 4 },
    );
  });

  it.each([19, 7])('gives 0, and no NaN, for those of %i queries that see no key', async (seq) => {
    const spec = plain({ batch: 2, seq, heads: 2, headDim: 4, causal: true, scale: 0.35, headMask: true });
    const inputs = data(spec, (b, s) => (b === 0 ? 0 : s >= 5 ? 1 : 0));
    await check(spec, inputs, traits);
    const outputs = { o: inputs.q.length, lse: 2 * 2 * seq };
    const { o } = await gpu.run(attentionForward(spec, traits), { ...inputs }, outputs);
    // Batch 0 has no key; in batch 1 the keys from 5 on are seen by queries from 5 on; head 1 is skipped.
    o!.forEach((value, i) => expect(value !== 0, `element ${i}`).toBe(i >= (seq + 5) * 8 && i % 8 < 4));
  });

  it('survives scores far beyond the range of exp', async () => {
    const spec = plain({ batch: 1, seq: 37, heads: 1, headDim: 3, causal: false, scale: 300, headMask: false });
    const inputs = data(spec, () => 1);
    const { o, lse } = await gpu.run(attentionForward(spec, traits), { ...inputs }, { o: inputs.q.length, lse: 37 });
    const expected = reference(spec, inputs);
    assertClose(o!, expected.o, 1e-3);
    assertClose(lse!, expected.lse, 1e-5);
  });
});
