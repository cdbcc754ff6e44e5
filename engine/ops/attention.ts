/** Room: engine/ops. Fused scaled-dot-product attention; no [seq, seq] buffer exists in either direction. */
import * as kernels from '../../kernels/attention.ts';
import { showShape } from '../graph/shape.ts';
import { emitMany, type Op, type Tensor } from '../graph/tensor.ts';

/** Sizes of one attention. Queries, keys and values are [batch·seq, heads·headDim] as the projections write them. */
export interface AttentionSpec {
  readonly batch: number;
  readonly seq: number;
  readonly heads: number;
  readonly headDim: number;
  readonly causal: boolean;
  /** Multiplies the scores, usually 1/√headDim. */
  readonly scale: number;
}

interface AttentionAttrs extends AttentionSpec {
  readonly headMask: boolean;
}

const attentionOp: Op<AttentionAttrs> = {
  name: 'attention',
  lowering: {
    kind: 'kernel',
    kernel: ({ attrs }, traits, { choose }) =>
      kernels.attentionForward(attrs, traits, choose(kernels.attentionChoice('forward', attrs, traits))),
  },
  vjp: ({ attrs, inputs, outputs }, [dOut]) => {
    if (!dOut) return [];
    const [q, k, v, mask, ...headMask] = inputs as [Tensor, Tensor, Tensor, Tensor, ...Tensor[]];
    const [out, lse] = outputs as readonly [Tensor, Tensor];
    const shape = q.shape;
    const [dq, delta] = emitMany(backwardQOp, [q, k, v, out, lse, dOut, mask, ...headMask], attrs, [
      { shape },
      { shape: lse.shape },
    ]) as [Tensor, Tensor];
    const [dk, dv] = emitMany(backwardKVOp, [q, k, v, lse, dOut, delta, mask, ...headMask], attrs, [
      { shape },
      { shape },
    ]);
    return [dq, dk, dv];
  },
};

const backwardQOp: Op<AttentionAttrs> = {
  name: 'attention_backward_q',
  lowering: {
    kind: 'kernel',
    kernel: ({ attrs }, traits, { choose }) =>
      kernels.attentionBackwardQ(attrs, traits, choose(kernels.attentionChoice('backward_q', attrs, traits))),
  },
};

const backwardKVOp: Op<AttentionAttrs> = {
  name: 'attention_backward_kv',
  lowering: {
    kind: 'kernel',
    kernel: ({ attrs }, traits, { choose }) =>
      kernels.attentionBackwardKV(attrs, traits, choose(kernels.attentionChoice('backward_kv', attrs, traits))),
  },
};

/**
 * softmax(scale·q·kᵀ + mask)·v per head, by online softmax (Milakov & Gimelshein 2018; Dao 2022).
 * @param q k, v: f32 [batch·seq, heads·headDim]
 * @param mask i32 [batch, seq]: 1 where a key may be seen
 * @param headMask f32 [heads], optional: heads whose entry is exactly 0 are skipped and give 0; other entries do NOT scale
 * @returns f32 [batch·seq, heads·headDim]; 0 for a query that sees no key
 */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  mask: Tensor,
  spec: AttentionSpec,
  headMask?: Tensor,
): Tensor {
  const shape = [spec.batch * spec.seq, spec.heads * spec.headDim];
  for (const t of [q, k, v]) {
    if (t.size !== shape[0]! * shape[1]!)
      throw new Error(`attention: expected ${showShape(shape)}, got ${showShape(t.shape)}`);
  }
  const inputs = headMask ? [q, k, v, mask, headMask] : [q, k, v, mask];
  const attrs = { ...spec, headMask: headMask !== undefined };
  const [out] = emitMany(attentionOp, inputs, attrs, [{ shape }, { shape: [spec.batch, spec.heads, spec.seq] }]);
  return out as Tensor;
}
