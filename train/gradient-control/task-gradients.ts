/**
 * Room: train/gradient-control. The gradients of several tasks, layer by layer, as strategies see them: every gradient is a sum of the
 * measured ones with a factor for each layer, so that all there is to know of them are the dot products of the measured ones.
 */
import type { Tensor } from '../../engine/graph/tensor.ts';
import { add, constant, mul, sqrt } from '../../engine/ops/elementwise.ts';

/** Dot products of two tasks' measured gradients in each layer, f32 [layers]. */
export type Gram = (a: number, b: number) => Tensor;

/** A gradient: what it has of each task's measured one, f32 [layers]; undefined: nothing. */
export type Mixture = readonly (Tensor | undefined)[];

/** One gradient a task. Immutable: strategies give others. */
export class TaskGradients {
  readonly layers: number;
  readonly #gram: Gram;
  readonly #mixtures: readonly Mixture[];

  private constructor(layers: number, gram: Gram, mixtures: readonly Mixture[]) {
    this.layers = layers;
    this.#gram = gram;
    this.#mixtures = mixtures;
  }

  /** The gradients as they were measured. */
  static measured(tasks: number, layers: number, gram: Gram): TaskGradients {
    const one = constant(1, [layers]);
    const mixtures = Array.from({ length: tasks }, (_, task) =>
      Array.from({ length: tasks }, (_, of) => (of === task ? one : undefined)),
    );
    return new TaskGradients(layers, gram, mixtures);
  }

  /** Tasks. */
  get count(): number {
    return this.#mixtures.length;
  }

  /** A task's gradient. */
  of(task: number): Mixture {
    return this.#mixtures[task]!;
  }

  /** Every task's. */
  get all(): readonly Mixture[] {
    return this.#mixtures;
  }

  /** The same tasks with other gradients. */
  with(mixtures: readonly Mixture[]): TaskGradients {
    return new TaskGradients(this.layers, this.#gram, mixtures);
  }

  /** Another gradient for one task. */
  replaced(task: number, mixture: Mixture): TaskGradients {
    return this.with(this.#mixtures.map((own, i) => (i === task ? mixture : own)));
  }

  /** a · b in each layer, f32 [layers]. */
  dot(a: Mixture, b: Mixture): Tensor {
    const terms = a.flatMap((x, i) => b.map((y, j) => x && y && mul(mul(x, y), this.#gram(i, j))));
    return total(terms) ?? constant(0, [this.layers]);
  }

  /** ‖g‖₂ of a task's gradient in each layer, f32 [layers]. */
  norm(task: number): Tensor {
    return sqrt(this.dot(this.of(task), this.of(task)));
  }

  /** The sum of all tasks' gradients: what the optimizer gets. */
  sum(): Mixture {
    return this.#mixtures.reduce((a, b) => plus(a, b));
  }
}

/** a + factor · b. @param factor f32 [layers], or broadcast to it; absent: 1 */
export function plus(a: Mixture, b: Mixture, factor?: Tensor): Mixture {
  return a.map((x, i) => {
    const y = b[i] && factor ? mul(b[i], factor) : b[i];
    return x && y ? add(x, y) : (x ?? y);
  });
}

/** factor · a. @param factor f32 [layers], or broadcast to it */
export function times(a: Mixture, factor: Tensor): Mixture {
  return a.map((x) => x && mul(x, factor));
}

function total(terms: readonly (Tensor | undefined)[]): Tensor | undefined {
  return terms
    .filter((term) => term !== undefined)
    .reduce<Tensor | undefined>((a, b) => (a ? add(a, b) : b), undefined);
}
