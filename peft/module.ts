/**
 * Room: peft. What all methods here have in common: trainable low-rank modules, each a pair of factors attached to a named
 * module of the model. Pruning works on this view alone.
 */
import type { ParameterSpec } from '../engine/nn/parameters.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { RandomState } from '../engine/ops/elementwise.ts';
import type { Intervention } from '../models/intervention.ts';

/** One trainable module: Δ = scaling · up(f(down(x))) with down [ranks, inFeatures] and up [outFeatures, ranks]. */
export interface PeftModule {
  /** Hugging Face name of the module it is attached to. */
  readonly name: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** Ranks present now; pruning lowers it. */
  readonly ranks: number;
  /** Fixed by the original rank: removing ranks must not rescale the rest (light-peft.md §2). */
  readonly scaling: number;
}

/** What a forward pass hands to the modules. */
export interface PeftRun {
  /** A factor by parameter name. */
  parameter(name: string): Tensor;
  /** Present while training with dropout. */
  readonly random?: RandomState;
  /** f32 [ranks] per module: 0 leaves a rank out. */
  rankMask?(module: PeftModule): Tensor | undefined;
  /** Sees each module's Δ and what Δ is added to, both [tokens, outFeatures]. */
  probe?(module: PeftModule, delta: Tensor, base: Tensor): void;
}

/** A PEFT method injected into one model. */
export interface PeftMethod {
  readonly modules: readonly PeftModule[];
  /** Parameter names of a module's factors. */
  factors(module: PeftModule): { readonly down: string; readonly up: string };
  intervention(run: PeftRun): Intervention;
  /** The same method with other modules: what pruning leaves. */
  withModules(modules: readonly PeftModule[]): PeftMethod;
}

/** Values of a module's factors, row-major. */
export interface FactorValues {
  readonly down: Float32Array;
  readonly up: Float32Array;
}

/** Parameter specs of all factors. */
export function factorSpecs(method: PeftMethod, valuesOf: (module: PeftModule) => FactorValues): ParameterSpec[] {
  return method.modules.flatMap((module) => {
    const names = method.factors(module);
    const values = valuesOf(module);
    return [
      { name: names.down, shape: [module.ranks, module.inFeatures], data: values.down, decay: true },
      { name: names.up, shape: [module.outFeatures, module.ranks], data: values.up, decay: true },
    ];
  });
}
