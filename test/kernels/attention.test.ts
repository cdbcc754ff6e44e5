/** Fused attention and its gradients against float64 attention with a [seq, seq] matrix. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  attentionBackwardKV,
  attentionBackwardQ,
  attentionForward,
  attentionVariants,
  type AttentionSpec,
} from '../../kernels/attention.ts';
import type { DeviceTraits } from '../../kernels/kernel.ts';
import { openTestDevice } from './harness.ts';
import { expectClose, randoms } from './reference.ts';

const gpu = await openTestDevice();

interface Inputs {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly dout: Float32Array;
  readonly mask: Int32Array;
  readonly head_mask: Float32Array;
}

/** Every query, head and element by the textbook formulas; gradients through the whole probability row. */
function reference({ batch, seq, heads, headDim, causal, scale, headMask }: AttentionSpec, inputs: Inputs) {
  const size = batch * seq * heads * headDim;
  const [o, dq, dk, dv] = [0, 1, 2, 3].map(() => new Float64Array(size)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const lse = new Float64Array(batch * heads * seq);
  const dims = Array.from({ length: headDim }, (_, d) => d);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      if (headMask && inputs.head_mask[h] === 0) continue;
      const row = (s: number) => ((b * seq + s) * heads + h) * headDim;
      const product = (x: ArrayLike<number>, i: number, y: ArrayLike<number>, j: number) =>
        dims.reduce((sum, d) => sum + x[row(i) + d]! * y[row(j) + d]!, 0);
      for (let i = 0; i < seq; i++) {
        const seen = Array.from({ length: seq }, (_, j) => j).filter(
          (j) => inputs.mask[b * seq + j] && (!causal || j <= i),
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
            o[row(i) + d]! += w[n]! * inputs.v[row(j) + d]!;
            dv[row(j) + d]! += w[n]! * inputs.dout[row(i) + d]!;
            dq[row(i) + d]! += ds * inputs.k[row(j) + d]!;
            dk[row(j) + d]! += ds * inputs.q[row(i) + d]!;
          }
        });
      }
    }
  }
  return { o, lse, dq, dk, dv };
}

function data({ batch, seq, heads, headDim }: AttentionSpec, maskOf: (b: number, s: number) => number): Inputs {
  const size = batch * seq * heads * headDim;
  const [q, k, v, dout] = [1, 2, 3, 4].map((seed) => randoms(size, seed + seq)) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const mask = Int32Array.from({ length: batch * seq }, (_, i) => maskOf(Math.floor(i / seq), i % seq));
  return { q, k, v, dout, mask, head_mask: Float32Array.from({ length: heads }, (_, h) => (h % 2 ? 0 : 0.5)) };
}

/** @param variant the place of the variant in the list */
async function check(spec: AttentionSpec, inputs: Inputs, traits: DeviceTraits, variant = 0): Promise<void> {
  const { name } = attentionVariants(traits)[variant]!;
  const size = inputs.q.length;
  const queries = spec.batch * spec.heads * spec.seq;
  const expected = reference(spec, inputs);
  const forward = await gpu.run(attentionForward(spec, traits, name), { ...inputs }, { o: size, lse: queries });
  expectClose(forward.o!, expected.o, 1e-5);
  expectClose(forward.lse!, expected.lse, 1e-5);
  const saved = { ...inputs, o: forward.o!, lse: forward.lse! };
  const { dq, delta } = await gpu.run(attentionBackwardQ(spec, traits, name), saved, {
    dq: size,
    delta: queries,
  });
  expectClose(dq!, expected.dq, 2e-5);
  const backward = await gpu.run(
    attentionBackwardKV(spec, traits, name),
    { ...saved, delta: delta! },
    { dk: size, dv: size },
  );
  expectClose(backward.dk!, expected.dk, 2e-5);
  expectClose(backward.dv!, expected.dv, 2e-5);
}

/** Every combination here is three pipelines to compile, so few; the portable kernels compile slowly on CPU rasterisers. */
const variants: {
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
      { headDim: 32, causal: true, headMask: true },
      { headDim: 68, causal: false, headMask: false },
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

describe.each(variants)('attention on $name', ({ traits, texts }) => {
  it.each(texts)('equals float64 for ragged lengths, padding, several heads: %o', async (text) => {
    const shapes = fc.record({
      batch: fc.constantFrom(1, 2),
      seq: fc.constantFrom(1, 2, 7, 16, 17, 33, 70),
      heads: fc.constantFrom(1, 2, 3),
      padding: fc.nat(40),
    });
    await fc.assert(
      fc.asyncProperty(shapes, async ({ padding, ...shape }) => {
        const spec = { ...shape, ...text, scale: text.headDim ** -0.5 };
        const length = (b: number) => Math.max(1, spec.seq - (b === 0 ? 0 : padding));
        await check(
          spec,
          data(spec, (b, s) => (s < length(b) ? 1 : 0)),
          traits,
        );
      }),
      { numRuns: 6, seed: 8, examples: [[{ batch: 2, seq: 67, heads: 2, padding: 30 }]] },
    );
  });

  it.each([1, 2])('equals float64 in variant %i, which a tuner may choose', async (variant) => {
    const spec = { batch: 2, seq: 35, heads: 2, headDim: 12, causal: true, scale: 0.3, headMask: false };
    await check(
      spec,
      data(spec, (b, s) => (s < 35 - 9 * b ? 1 : 0)),
      traits,
      variant,
    );
  });

  it('gives 0, and no NaN, for queries that see no key', async () => {
    const spec = { batch: 2, seq: 19, heads: 2, headDim: 8, causal: true, scale: 0.35, headMask: true };
    const inputs = data(spec, (b, s) => (b === 0 ? 0 : s >= 5 ? 1 : 0));
    await check(spec, inputs, traits);
    const { o } = await gpu.run(attentionForward(spec, traits), { ...inputs }, { o: inputs.q.length, lse: 2 * 2 * 19 });
    // Batch 0 has no key; in batch 1 the keys from 5 on are seen by queries from 5 on; head 1 is skipped.
    o!.forEach((value, i) => expect(value !== 0, `element ${i}`).toBe(i >= 24 * 16 && i % 16 < 8));
  });

  it('survives scores far beyond the range of exp', async () => {
    const spec = { batch: 1, seq: 37, heads: 1, headDim: 3, causal: false, scale: 300, headMask: false };
    const inputs = data(spec, () => 1);
    const { o, lse } = await gpu.run(attentionForward(spec, traits), { ...inputs }, { o: inputs.q.length, lse: 37 });
    const expected = reference(spec, inputs);
    expectClose(o!, expected.o, 1e-3);
    expectClose(lse!, expected.lse, 1e-5);
  });
});
