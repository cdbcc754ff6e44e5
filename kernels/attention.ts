/**
 * Room: kernels. Scaled-dot-product attention, fused in both directions: softmax runs online (Milakov & Gimelshein 2018;
 * Dao et al. 2022), so no [seq, seq] buffer exists. Two variants: `broadcast` for CPU rasterisers and `rows` for everything else.
 */
import { backwardKVByBroadcast, backwardQByBroadcast, forwardByBroadcast } from './attention/broadcast.ts';
import { backwardKVByRows, backwardQByRows, forwardByRows } from './attention/rows.ts';
import type { AttentionSpec } from './attention/spec.ts';
import type { DeviceTraits, Kernel } from './kernel.ts';

export type { AttentionSpec } from './attention/spec.ts';

/**
 * o = softmax(scale·q·kᵀ over seen keys)·v, and lse, the log-sum-exp of each query's scores.
 * Bindings: q, k, v f32 [batch·seq, heads·headDim]; mask i32 [batch, seq], 0 = key not seen; [head_mask]; then
 * o like q and lse f32 [batch, heads, seq]. A query that sees no key gives o = 0 and lse = 0.
 */
export function attentionForward(spec: AttentionSpec, traits: DeviceTraits): Kernel {
  return usesBroadcast(traits) ? forwardByBroadcast(spec, traits) : forwardByRows(spec);
}

/**
 * The gradient of q, and delta = Σ_d dout·o of each query, which the gradients of k and v need too.
 * Bindings: q, k, v, o, lse, dout (the gradient of o), mask, [head_mask] as in the forward kernel; then dq like q and delta
 * like lse.
 */
export function attentionBackwardQ(spec: AttentionSpec, traits: DeviceTraits): Kernel {
  return usesBroadcast(traits) ? backwardQByBroadcast(spec, traits) : backwardQByRows(spec);
}

/**
 * The gradients of k and v. Bindings: q, k, v, lse, dout, delta (of `attentionBackwardQ`), mask, [head_mask];
 * then dk and dv like k.
 */
export function attentionBackwardKV(spec: AttentionSpec, traits: DeviceTraits): Kernel {
  return usesBroadcast(traits) ? backwardKVByBroadcast(spec, traits) : backwardKVByRows(spec);
}

function usesBroadcast({ software, subgroupSize }: DeviceTraits): boolean {
  return software && subgroupSize >= 4;
}
