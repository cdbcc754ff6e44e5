/**
 * Room: kernels. Scaled dot-product attention, fused in both directions as in FlashAttention (Dao et al. 2022, Dao 2023): softmax runs
 * online (attention/online-softmax.ts), the backward pass recomputes the weights from lse, and no [seq, seq] buffer exists.
 * Templates: `broadcast` is for CPU rasterisers, `rows` for everything else, `keys` there for few queries, as in generation.
 */
import { backwardKVByBroadcast, backwardQByBroadcast, forwardByBroadcast } from './attention/broadcast.ts';
import { forwardByKeys } from './attention/keys.ts';
import { backwardKVByRows, backwardQByRows, forwardByRows } from './attention/rows.ts';
import type { AttentionDirection, AttentionSpec } from './attention/spec.ts';
import type { DeviceTraits, Kernel } from './kernel.ts';
import { usesBroadcast } from './policy.ts';
import { nextPowerOfTwo, findConfig, type KernelConfigs } from './config.ts';

export type { AttentionDirection, AttentionSpec } from './attention/spec.ts';

const TEMPLATES = {
  forward: { broadcast: forwardByBroadcast, rows: forwardByRows },
  backward_q: { broadcast: backwardQByBroadcast, rows: backwardQByRows },
  backward_kv: { broadcast: backwardKVByBroadcast, rows: backwardKVByRows },
} as const;

/**
 * o = softmax(scale·q·kᵀ over seen keys)·v, and lse, the log-sum-exp of each query's scores.
 * Bindings: q f32 [batch·seq, heads·headDim]; k, v f32 [batch·keys, kvHeads·headDim]; mask i32 [batch, keys], 0 = key not
 * seen, or segments; [head_mask]; [position]; then o like q and lse f32 [batch, heads, seq]. A query that sees no key gives o = 0 and lse = 0.
 * Flops are 4·headDim + 5 per query and key that it may see; nothing of size [seq, keys] is stored.
 * @param config a name of `attentionConfigs`; absent: its first
 * @throws Error for another name
 */
export function attentionForward(spec: AttentionSpec, traits: DeviceTraits, config?: string): Kernel {
  return attention('forward', spec, traits, config);
}

/**
 * The gradient of q, and delta = Σ_d dout·o of each query, which the gradients of k and v need too.
 * Bindings: q, k, v, o, lse, dout (the gradient of o), mask, [head_mask], [position] as in the forward kernel; then dq like q and delta
 * like lse. The weights are computed again from q, k and lse: 6·headDim + 5 flops per query and key.
 */
export function attentionBackwardQ(spec: AttentionSpec, traits: DeviceTraits, config?: string): Kernel {
  return attention('backward_q', spec, traits, config);
}

/**
 * The gradients of k and v. Bindings: q, k, v, lse, dout, delta (of `attentionBackwardQ`), mask, [head_mask],
 * [position]; then dk and dv like k; 8·headDim + 5 flops per query and key. Query heads that share a key head are summed in the kernel.
 */
export function attentionBackwardKV(spec: AttentionSpec, traits: DeviceTraits, config?: string): Kernel {
  return attention('backward_kv', spec, traits, config);
}

function attention(
  direction: AttentionDirection,
  spec: AttentionSpec,
  traits: DeviceTraits,
  config: string | undefined,
): Kernel {
  const { broadcast, rows } = TEMPLATES[direction];
  const { size } = findConfig(attentionConfigs(traits), config);
  if (usesBroadcast(traits)) return broadcast(spec, traits, size);
  return direction === 'forward' && spec.seq <= FEW_QUERIES ? forwardByKeys(spec, size) : rows(spec, size);
}

/** Up to here queries have workgroups of their own on GPUs. */
const FEW_QUERIES = 8;

/** The tile sizes to choose from on a device, the best guess first: rows at most, which on GPUs are the lanes of a workgroup. */
export function attentionConfigs(traits: DeviceTraits): { readonly name: string; readonly size: number }[] {
  const sizes = usesBroadcast(traits) ? [128, 64, 32] : [64, 32, 128];
  return sizes.map((size) => ({ name: `rows${size}`, size }));
}

/** The same as a task for the tuner. */
export function attentionTuningTask(
  direction: AttentionDirection,
  spec: AttentionSpec,
  traits: DeviceTraits,
): KernelConfigs {
  const { kvHeadOf, headDim, causal, headMask, position, segmented = false } = spec;
  const [batch, seq] = [nextPowerOfTwo(spec.batch), nextPowerOfTwo(spec.seq)];
  const [keys, heads] = [nextPowerOfTwo(spec.keys), nextPowerOfTwo(spec.heads)];
  const kvHeads = heads / nextPowerOfTwo(spec.heads / spec.kvHeads);
  const table = kvHeadOf && Array<number>(heads).fill(0);
  const classed = { ...spec, batch, seq, keys, heads, kvHeads, kvHeadOf: table };
  const texts = { causal, masked: headMask, cached: position, mapped: kvHeadOf !== undefined, segmented };
  const named = Object.entries(texts).map(([name, is]) => (is ? ` ${name}` : ''));
  return {
    family: `attention_${direction}`,
    task: `batch${batch} seq${seq} keys${keys} heads${heads}/${kvHeads} d${headDim}${named.join('')}`,
    names: attentionConfigs(traits).map(({ name }) => name),
    source: (name) => attention(direction, classed, traits, name).wgsl,
  };
}
