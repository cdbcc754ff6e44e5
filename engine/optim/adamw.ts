/** Room: engine/optim. AdamW over packed parameters (Loshchilov & Hutter 2019; the update order is PyTorch's). */
import type { Engine } from '../engine.ts';
import type { Update } from '../compile/graph.ts';
import { namedScope } from '../graph/scope.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { ParameterGroup, Parameters } from '../nn/parameters.ts';
import { add, div, minimum, mul, sqrt, square, sub } from '../ops/elementwise.ts';
import { sum } from '../ops/reduce.ts';
import type { Variable } from '../variable.ts';
import { PackedGradients } from './packed-gradients.ts';

/** PyTorch's names and meanings. */
export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  /** Largest global norm of the gradients; 0 = no clipping. */
  readonly maxGradNorm: number;
}

/** PyTorch's defaults, but no weight decay. */
export const ADAMW_DEFAULTS: AdamWOptions = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 0 };

/** Program inputs of an update, each f32 [1]; `AdamW.inputs` computes them. */
export const ADAMW_INPUTS = {
  lr: { shape: [1], dtype: 'f32' },
  bias1: { shape: [1], dtype: 'f32' },
  bias2: { shape: [1], dtype: 'f32' },
} as const;

type AdamWInputs = Readonly<Record<keyof typeof ADAMW_INPUTS, Tensor>>;

interface GroupState {
  readonly group: ParameterGroup;
  readonly m: Variable;
  readonly v: Variable;
}

/** The moments of all parameters that are not frozen, f32, and the graph of an update: a kernel or two for all of a group. */
export class AdamW {
  readonly options: AdamWOptions;
  readonly gradients: PackedGradients;
  readonly #engine: Engine;
  readonly #states: readonly GroupState[];

  constructor(engine: Engine, parameters: Parameters, options: AdamWOptions) {
    this.#engine = engine;
    this.options = options;
    this.gradients = new PackedGradients(engine, parameters);
    this.#states = this.gradients.groups.map((group) => ({
      group,
      m: engine.variable('adamw.m', group.flat.shape, { kind: 'optimizer' }),
      v: engine.variable('adamw.v', group.flat.shape, { kind: 'optimizer' }),
    }));
  }

  /** Values of `ADAMW_INPUTS` for a step. @param step counts from 1 */
  inputs(step: number, lr: number): Record<keyof typeof ADAMW_INPUTS, Float32Array> {
    const { beta1, beta2 } = this.options;
    return {
      lr: Float32Array.of(lr),
      bias1: Float32Array.of(1 - beta1 ** step),
      bias2: Float32Array.of(1 - beta2 ** step),
    };
  }

  /**
   * Gradients of `loss` and the update of every parameter.
   * @returns the updates, the gradients before clipping by parameter name and one tensor a group, and their global norm (shape [])
   */
  step(
    loss: Tensor,
    inputs: AdamWInputs,
  ): AdamWStep & { readonly gradients: ReadonlyMap<string, Tensor>; readonly packed: readonly Tensor[] } {
    const { gradients, packed } = namedScope('optimizer', () => {
      const found = this.gradients.of(loss);
      return { gradients: found, packed: this.gradients.pack(found) };
    });
    return { ...this.apply(packed, inputs), gradients, packed };
  }

  /** The update by gradients that are there. @param packed one tensor a group, as `PackedGradients` has them */
  apply(packed: readonly Tensor[], inputs: AdamWInputs): AdamWStep {
    return namedScope('optimizer', () => {
      const norm = sqrt(packed.map((g) => sum(square(g))).reduce((a, b) => add(a, b)));
      const { maxGradNorm } = this.options;
      const scale = maxGradNorm > 0 ? minimum(1, div(maxGradNorm, add(norm, 1e-6))) : undefined;
      const updates = this.#states.flatMap((state, i) => {
        const g = packed[i]!;
        return this.#update(state, scale ? mul(g, scale) : g, inputs);
      });
      return { updates, norm };
    });
  }

  #update({ group, m, v }: GroupState, g: Tensor, inputs: AdamWInputs): Update[] {
    const { beta1, beta2, eps, weightDecay } = this.options;
    const lr = mul(inputs.lr, group.lrMultiplier);
    const m1 = add(mul(m.tensor, beta1), mul(g, 1 - beta1));
    const v1 = add(mul(v.tensor, beta2), mul(square(g), 1 - beta2));
    const p = group.flat.tensor;
    const decayed = group.decay && weightDecay > 0 ? mul(p, sub(1, mul(lr, weightDecay))) : p;
    const direction = div(m1, add(div(sqrt(v1), sqrt(inputs.bias2)), eps));
    const p1 = sub(decayed, mul(direction, div(lr, inputs.bias1)));
    return [
      { target: m, value: m1 },
      { target: v, value: v1 },
      { target: group.flat, value: p1 },
    ];
  }

  /** The moments, for checkpoints. */
  get state(): readonly Variable[] {
    return this.#states.flatMap(({ m, v }) => [m, v]);
  }

  /** Frees gradients and moments. */
  free(): void {
    this.gradients.free();
    for (const { m, v } of this.#states) for (const variable of [m, v]) this.#engine.free(variable);
  }

  /** As `free`, for `using`. */
  [Symbol.dispose](): void {
    this.free();
  }
}

/** A step's graph: what `Engine.compile` is to update, and what may be read beside it. */
export interface AdamWStep {
  readonly updates: Update[];
  readonly norm: Tensor;
}
