/** Room: pruning. Trainable masks on attention heads and FFN neurons, with their L1 penalty (docs/method.md §2). */
import type { Tensor } from '../engine/graph/tensor.ts';
import type { ParameterSpec } from '../engine/nn/parameters.ts';
import { abs, add, mul } from '../engine/ops/elementwise.ts';
import { maskColumns } from '../engine/ops/mask.ts';
import { sum } from '../engine/ops/reduce.ts';
import type { LayerShape } from '../models/architecture.ts';
import type { ForwardHooks } from '../models/forward-hooks.ts';

export interface MaskOptions {
  /** λ_A and λ_F of the penalty. */
  readonly headsL1: number;
  readonly ffnL1: number;
  /** Multiply the masks' learning rate. */
  readonly headsLr: number;
  readonly ffnLr: number;
}

/** Parameter names of a layer's masks. */
export function headMaskName(layer: number): string {
  return `masks.heads.${layer}`;
}

export function ffnMaskName(layer: number): string {
  return `masks.ffn.${layer}`;
}

/** Masks of all ones for every layer; they do not decay. */
export function maskSpecs(layers: readonly LayerShape[], options: MaskOptions): ParameterSpec[] {
  const ones = (name: string, n: number, lrMultiplier: number): ParameterSpec => ({
    name,
    shape: [n],
    data: new Float32Array(n).fill(1),
    lrMultiplier,
    decay: false,
  });
  return layers.flatMap(({ heads, neurons }, layer) => [
    ones(headMaskName(layer), heads, options.headsLr),
    ones(ffnMaskName(layer), neurons, options.ffnLr),
  ]);
}

/** Multiplies contexts and intermediates by the masks. */
export function maskHooks(parameter: (name: string) => Tensor): ForwardHooks {
  return {
    context: (layer, context) => maskColumns(context, parameter(headMaskName(layer))),
    intermediate: (layer, activated) => maskColumns(activated, parameter(ffnMaskName(layer))),
  };
}

/** λ_A Σ‖m_A‖₁ + λ_F Σ‖m_F‖₁ over all layers, shape []. */
export function maskPenalty(layers: number, parameter: (name: string) => Tensor, options: MaskOptions): Tensor {
  const total = (nameOf: (layer: number) => string): Tensor =>
    Array.from({ length: layers }, (_, layer) => sum(abs(parameter(nameOf(layer))))).reduce((a, b) => add(a, b));
  return add(mul(total(headMaskName), options.headsL1), mul(total(ffnMaskName), options.ffnL1));
}
