/** Room: engine/optim. AdamW over packed parameters (Loshchilov & Hutter 2019; the update order is PyTorch's). */
import type { Engine } from '../engine.ts';
import type { Update } from '../compile/graph.ts';
import { gradients } from '../autograd/gradients.ts';
import { namedScope } from '../graph/scope.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { ParameterGroup, Parameters } from '../nn/parameters.ts';
import { add, constant, div, minimum, mul, sqrt, square, sub } from '../ops/elementwise.ts';
import { pack } from '../ops/pack.ts';
import { sum } from '../ops/reduce.ts';
import type { Variable } from '../variable.ts';

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

/** Static loss scale (Micikevicius et al. 2018): a power of two, so scaling itself rounds nothing. */
const LOSS_SCALE = 1024;

interface GroupState {
  readonly group: ParameterGroup;
  readonly gradient: Variable;
  readonly m: Variable;
  readonly v: Variable;
}

/** The moments of all parameters that are not frozen, f32, and the graph of an update: a kernel or two for all of a group. */
export class AdamW {
  readonly options: AdamWOptions;
  readonly #engine: Engine;
  readonly #states: readonly GroupState[];
  /** Gradients of the micro-batches so far, by group; made when there are some. */
  #sums: readonly Variable[] | undefined;

  constructor(engine: Engine, parameters: Parameters, options: AdamWOptions) {
    this.#engine = engine;
    this.options = options;
    const groups = parameters.groups.filter(({ frozen }) => !frozen);
    if (groups.length === 0) throw new Error('AdamW: no parameters to train');
    this.#states = groups.map((group) => ({
      group,
      gradient: engine.variable('gradients', group.flat.shape, { kind: 'gradients' }),
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
   * @returns the updates, the gradients before clipping by parameter name, and their global norm (shape [])
   */
  step(loss: Tensor, inputs: Readonly<Record<keyof typeof ADAMW_INPUTS, Tensor>>): AdamWStep {
    return namedScope('optimizer', () => this.#step(this.#gradients(loss), inputs));
  }

  /** Adds the gradients of a micro-batch's share of the loss to those of the step so far. */
  accumulate(loss: Tensor): Update[] {
    return namedScope('optimizer', () => {
      const packed = this.#pack(this.#gradients(loss));
      return this.#accumulated.map((target, i) => ({ target, value: add(target.tensor, packed[i]!) }));
    });
  }

  /**
   * As `step`, with the gradients that were accumulated, which begin anew.
   * @param penalty added to the loss once a step; undefined: none
   */
  stepAccumulated(penalty: Tensor | undefined, inputs: Readonly<Record<keyof typeof ADAMW_INPUTS, Tensor>>): AdamWStep {
    return namedScope('optimizer', () => {
      const more = penalty ? this.#gradients(penalty) : undefined;
      const sums = this.#accumulated;
      const gradients = this.#states.flatMap(({ group: { parameters, offsets } }, i) =>
        parameters.map(({ name, shape, stored }, p) => {
          const sofar = sums[i]!.view(name, offsets[p]!, shape, stored).tensor;
          return [name, more ? add(sofar, more.get(name)!) : sofar] as const;
        }),
      );
      const step = this.#step(new Map(gradients), inputs);
      const cleared = sums.map((target) => ({ target, value: constant(0, target.shape) }));
      return { ...step, updates: [...step.updates, ...cleared] };
    });
  }

  get #accumulated(): readonly Variable[] {
    this.#sums ??= this.#states.map(({ gradient: { shape } }) =>
      this.#engine.variable('gradients.accumulated', shape, { kind: 'gradients' }),
    );
    return this.#sums;
  }

  #pack(byName: ReadonlyMap<string, Tensor>): Tensor[] {
    return this.#states.map(({ group, gradient }) => {
      const parts = group.parameters.map((p) => byName.get(p.name)!);
      return pack(parts, group.offsets, gradient, gradient.size);
    });
  }

  #step(byName: ReadonlyMap<string, Tensor>, inputs: Readonly<Record<keyof typeof ADAMW_INPUTS, Tensor>>): AdamWStep {
    const packed = this.#pack(byName);
    const norm = sqrt(packed.map((g) => sum(square(g))).reduce((a, b) => add(a, b)));
    const { maxGradNorm } = this.options;
    const scale = maxGradNorm > 0 ? minimum(1, div(maxGradNorm, add(norm, 1e-6))) : undefined;
    const updates = this.#states.flatMap((state, i) => {
      const g = packed[i]!;
      return this.#update(state, scale ? mul(g, scale) : g, inputs);
    });
    return { updates, gradients: byName, norm };
  }

  /** By parameter name; zeros where the loss does not depend on one. */
  #gradients(loss: Tensor): Map<string, Tensor> {
    const all = this.#states.flatMap(({ group }) => group.parameters);
    const found = this.#scaledGradients(
      loss,
      all.map((p) => p.tensor),
    );
    return new Map(all.map((p, i) => [p.name, found[i] ?? constant(0, p.stored)]));
  }

  /** Where products round to f16, small cotangents would vanish: the whole backward pass is scaled up, its ends down again. */
  #scaledGradients(loss: Tensor, wrt: readonly Tensor[]): (Tensor | undefined)[] {
    if (!this.#engine.traits.allowF16Matmul) return gradients(loss, wrt);
    return gradients(mul(loss, LOSS_SCALE), wrt).map((g) => g && mul(g, 1 / LOSS_SCALE));
  }

  #update(
    { group, m, v }: GroupState,
    g: Tensor,
    inputs: Readonly<Record<keyof typeof ADAMW_INPUTS, Tensor>>,
  ): Update[] {
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
    for (const sum of this.#sums ?? []) this.#engine.free(sum);
    for (const { gradient, m, v } of this.#states) for (const variable of [gradient, m, v]) this.#engine.free(variable);
  }

  /** As `free`, for `using`. */
  [Symbol.dispose](): void {
    this.free();
  }
}

/** A step's graph: what `Engine.compile` is to update, and what may be read beside it. */
export interface AdamWStep {
  readonly updates: Update[];
  readonly gradients: ReadonlyMap<string, Tensor>;
  readonly norm: Tensor;
}
