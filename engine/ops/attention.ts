/** Room: engine/ops. Fused scaled-dot-product attention; no [seq, seq] buffer exists in either direction. */
import * as kernels from '../../kernels/attention.ts';
import { showShape, sizeOf } from '../graph/shape.ts';
import { emitMany, type Op, type Tensor } from '../graph/tensor.ts';

/**
 * Sizes of one attention. Queries are [batch·seq, heads·headDim], keys and values [batch·keys, kvHeads·headDim], as the
 * projections write them.
 */
export interface AttentionSpec {
  readonly batch: number;
  /** Queries of a sequence. */
  readonly seq: number;
  /** Keys of a sequence; as many as queries unless given. */
  readonly keys?: number;
  /** Heads of the queries. */
  readonly heads: number;
  /** Heads of keys and values (grouped-query attention, Ainslie et al. 2023); as many as queries' unless given. */
  readonly kvHeads?: number;
  /** The key/value head of each query head; unless given, heads / kvHeads neighbours share one. */
  readonly kvHeadOf?: readonly number[];
  readonly headDim: number;
  /** Whether a query sees only keys at or before its own position. */
  readonly causal: boolean;
  /**
   * Whether the mask holds segments, and a query sees only keys of its own: numbers from 1 on along a sequence, each in one piece, padding
   * (0) only after the last. Queries are then as many as keys.
   */
  readonly segmented?: boolean;
  /** Multiplies the scores, usually 1/√headDim. */
  readonly scale: number;
}

type AttentionAttrs = kernels.AttentionSpec;

const attentionOp: Op<AttentionAttrs> = {
  name: 'attention',
  lowering: {
    kind: 'kernel',
    kernel: ({ attrs }, traits, { selectConfig }) =>
      kernels.attentionForward(attrs, traits, selectConfig(kernels.attentionTuningTask('forward', attrs, traits))),
  },
  vjp: ({ attrs, inputs, outputs }, [dOut]) => {
    if (!dOut) return [];
    const [q, k, v, ...rest] = inputs as [Tensor, Tensor, Tensor, ...Tensor[]];
    const [out, lse] = outputs as [Tensor, Tensor];
    const [dq, delta] = emitMany(backwardQOp, [q, k, v, out, lse, dOut, ...rest], attrs, [
      { shape: q.shape },
      { shape: lse.shape },
    ]);
    const [dk, dv] = emitMany(backwardKVOp, [q, k, v, lse, dOut, delta, ...rest], attrs, [
      { shape: k.shape },
      { shape: v.shape },
    ]);
    return [dq, dk, dv];
  },
};

const backwardQOp: Op<AttentionAttrs> = {
  name: 'attention_backward_q',
  lowering: {
    kind: 'kernel',
    kernel: ({ attrs }, traits, { selectConfig }) =>
      kernels.attentionBackwardQ(attrs, traits, selectConfig(kernels.attentionTuningTask('backward_q', attrs, traits))),
  },
};

const backwardKVOp: Op<AttentionAttrs> = {
  name: 'attention_backward_kv',
  lowering: {
    kind: 'kernel',
    kernel: ({ attrs }, traits, { selectConfig }) =>
      kernels.attentionBackwardKV(
        attrs,
        traits,
        selectConfig(kernels.attentionTuningTask('backward_kv', attrs, traits)),
      ),
  },
};

/**
 * softmax(scale·q·kᵀ + mask)·v per head, by online softmax (Milakov & Gimelshein 2018; Dao 2022).
 * @param q f32 [batch·seq, heads·headDim]
 * @param k v: f32 [batch·keys, kvHeads·headDim]
 * @param mask i32 [batch, keys]: 1 where a key may be seen; or segments
 * @param headMask f32 [heads], optional: heads whose entry is exactly 0 are skipped and give 0; other entries do NOT scale
 * @param position i32 [1], optional: the place of the first query among the keys where those are a cache; else it is 0
 * @returns f32 [batch·seq, heads·headDim]; 0 for a query that sees no key
 * @throws Error naming what was expected where sizes do not fit, query heads have no key/value head, or segments come with a cache
 */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  mask: Tensor,
  spec: AttentionSpec,
  headMask?: Tensor,
  position?: Tensor,
): Tensor {
  const { batch, seq, heads, headDim, keys = seq, kvHeads = heads, kvHeadOf } = spec;
  const regular = Number.isInteger(heads / kvHeads);
  if (kvHeadOf ? kvHeadOf.length !== heads || kvHeadOf.some((kv) => kv >= kvHeads) : !regular) {
    throw new Error(`attention: ${kvHeadOf ? showShape(kvHeadOf) : 'no table'} maps ${heads} heads to ${kvHeads}`);
  }
  if (spec.segmented && (position !== undefined || keys !== seq))
    throw new Error(`attention: segments are of ${seq} queries over as many keys, not over a cache of ${keys}`);
  const shape = [batch * seq, heads * headDim];
  const expected = [shape, ...Array<number[]>(2).fill([batch * keys, kvHeads * headDim]), [batch, keys]];
  for (const [i, t] of [q, k, v, mask].entries()) {
    if (t.size !== sizeOf(expected[i]!))
      throw new Error(`attention: expected ${showShape(expected[i]!)}, got ${showShape(t.shape)}`);
  }
  const inputs = [q, k, v, mask, headMask, position].filter((input) => input !== undefined);
  const attrs = { ...spec, keys, kvHeads, headMask: headMask !== undefined, position: position !== undefined };
  const [out] = emitMany(attentionOp, inputs, attrs, [{ shape }, { shape: [batch, heads, seq] }]);
  return out;
}
