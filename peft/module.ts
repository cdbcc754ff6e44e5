/**
 * Room: peft. What all methods have in common: trainable modules attached to named layers, each a few factors whose
 * dimensions run along its ranks, its inputs or its outputs. Files, pruning, merging and training work on this view alone.
 */
import type { Shape } from '../engine/graph/shape.ts';
import type { ParameterSpec } from '../engine/nn/parameters.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { RandomState } from '../engine/ops/elementwise.ts';
import type { ForwardHooks } from '../models/forward-hooks.ts';

/** One trainable module. */
export interface PeftModule {
  /** Hugging Face name of the layer it is attached to. */
  readonly name: string;
  /** Features of the linear layer (of hidden states for bottleneck adapters); 0 where a file's factors do not say. */
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** Ranks present now; pruning lowers it. 0 for methods without ranks. */
  readonly ranks: number;
  /** Fixed by the original rank: removing ranks must not rescale the rest (docs/method.md §5). */
  readonly scaling: number;
  /** On an embedding: `inFeatures` rows of `outFeatures`. Absent: on a linear layer. */
  readonly isEmbedding?: true;
}

/** What a dimension of a factor runs along. */
export type Axis = 'rank' | 'in' | 'out' | 'one';

/** A trainable tensor of a module. */
export interface Factor {
  /** Parameter name: its key in `adapter_model.safetensors` without the prefix. */
  readonly name: string;
  readonly axes: readonly Axis[];
}

/** Values by parameter name, row-major. */
export type StateDict = ReadonlyMap<string, Float32Array>;

/** What a forward pass hands to the modules. */
export interface PeftRun {
  /** A factor by parameter name. */
  parameter(name: string): Tensor;
  /** A weight of the base by Hugging Face name, f32 or f16; linear layers are [out, in]. */
  weight(name: string): Tensor;
  /** Undefined for a linear layer without. */
  bias(module: string): Tensor | undefined;
  /** Present while training with dropout. */
  readonly random?: RandomState;
  /** Whether a module takes part; all do unless said otherwise. */
  isActive?(module: PeftModule): boolean;
  /** f32 [ranks] per module: 0 leaves a rank out. */
  rankMask?(module: PeftModule): Tensor | undefined;
  /** Sees each module's Δ and what Δ is added to, both [tokens, features]. */
  onDelta?(module: PeftModule, delta: Tensor, base: Tensor): void;
  /** Sees what a bottleneck holds after its non-linearity, f32 [tokens, ranks]. */
  onBottleneck?(module: PeftModule, activated: Tensor): void;
}

/** Draws for fresh factors. */
export interface Rng {
  /** In [0, 1). */
  uniform(): number;
  /** Standard normal. */
  normal(): number;
}

/** Whether a module goes into the weights or is taken out again. */
export type Direction = 'merge' | 'unmerge';

/** A module with its values and the weight it is attached to. */
export interface PlacedModule {
  readonly module: PeftModule;
  readonly values: StateDict;
  readonly weight: Float32Array;
}

/** A PEFT method injected into one model. */
export interface PeftMethod {
  readonly modules: readonly PeftModule[];
  /** Whether a module works on its linear layer itself, and so follows its slicing; else on whole hidden states. */
  readonly adaptsLinear: boolean;
  /** In the order of the file. */
  factors(module: PeftModule): readonly Factor[];
  /** Where its modules reach into a forward pass. */
  hooks(run: PeftRun): ForwardHooks;
  /** The same method with other modules: what pruning leaves. */
  withModules(modules: readonly PeftModule[]): PeftMethod;
  /** Fresh values of a module's factors, but for those of `initFromWeight`. */
  initParameters(module: PeftModule, draw: Rng): Map<string, Float32Array>;
  /** Fresh values that depend on the weight a module is attached to. */
  initFromWeight?(placed: PlacedModule): Map<string, Float32Array>;
  /**
   * What a module must change when columns of its weight are cut, so that it computes what the whole one computes on inputs that
   * are 0 in the cut columns.
   * @param cut the module as sliced, on the sliced weight
   */
  onSlice?(whole: PlacedModule, cut: PlacedModule): Map<string, Float32Array>;
  /**
   * The weight (of linear layers [outFeatures, inFeatures], of embeddings the other way) with the module merged into it, in float64; the way back is exact to rounding.
   * Absent: the method is not linear in the layer's input.
   * @throws UserError where the weight before cannot be computed from the merged one
   */
  merge?(module: PeftModule, values: StateDict, weight: Float32Array, direction: Direction): Float32Array;
  /** The same for the layer's bias [outFeatures]. Absent: it stays. */
  mergeBias?(module: PeftModule, values: StateDict, bias: Float32Array, direction: Direction): Float32Array;
}

/** The shape of a factor of a module. */
export function factorShape({ axes }: Factor, { ranks, inFeatures, outFeatures }: PeftModule): number[] {
  const sizes: Record<Axis, number> = { rank: ranks, in: inFeatures, out: outFeatures, one: 1 };
  return axes.map((axis) => sizes[axis]);
}

/** Number of values in a module's factors. */
export function moduleSize(method: PeftMethod, module: PeftModule): number {
  const sizes = method.factors(module).map((factor) => factorShape(factor, module).reduce((a, b) => a * b, 1));
  return sizes.reduce((a, b) => a + b, 0);
}

/** A value that must be there. */
export function valueOf(values: StateDict, name: string): Float32Array {
  const value = values.get(name);
  if (!value) throw new Error(`no values for parameter ${name}`);
  return value;
}

/**
 * Parameter specs of all factors. Only matrices over ranks decay.
 * @param storedShapeOf the shape [out, in] in which the device holds the weight that a module is attached to
 */
export function factorSpecs(
  method: PeftMethod,
  values: StateDict,
  storedShapeOf: (module: PeftModule) => Shape | undefined = () => undefined,
): ParameterSpec[] {
  return method.modules.flatMap((module) => {
    const [outFeatures, inFeatures] = storedShapeOf(module) ?? [];
    const stored = outFeatures && inFeatures ? { ...module, outFeatures, inFeatures } : module;
    return method.factors(module).map((factor): ParameterSpec => ({
      name: factor.name,
      shape: factorShape(factor, module),
      stored: factorShape(factor, stored),
      data: valueOf(values, factor.name),
      decay: isRankMatrix(factor),
    }));
  });
}

/** Whether a factor maps to or from ranks: the ones that rank importance is read from. */
export function isRankMatrix({ axes }: Factor): boolean {
  return axes.length === 2 && axes.includes('rank');
}

/** Uniform in ±bound. */
export function uniformIn(bound: number, size: number, draw: Rng): Float32Array {
  return Float32Array.from({ length: size }, () => (2 * draw.uniform() - 1) * bound);
}
