/** Room: engine/optim. Gradients of everything that trains, side by side as the parameters are. */
import { gradients } from '../autograd/gradients.ts';
import type { Engine } from '../engine.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { ParameterGroup, Parameters } from '../nn/parameters.ts';
import { constant, mul } from '../ops/elementwise.ts';
import { pack } from '../ops/pack.ts';
import type { Variable } from '../variable.ts';

/** Static loss scale (Micikevicius et al. 2018): a power of two, so scaling itself rounds nothing. */
const LOSS_SCALE = 1024;

/** Gradients of a group of parameters, side by side as these are. */
export interface PackedGradient {
  readonly group: ParameterGroup;
  readonly gradient: Tensor;
}

export class PackedGradients {
  /** Those that train. */
  readonly groups: readonly ParameterGroup[];
  readonly #engine: Engine;
  readonly #buffers: readonly Variable[];

  /** @throws Error where nothing trains */
  constructor(engine: Engine, parameters: Parameters) {
    this.#engine = engine;
    this.groups = parameters.groups.filter(({ frozen }) => !frozen);
    if (this.groups.length === 0) throw new Error('no parameters to train');
    this.#buffers = this.groups.map(({ flat: { shape } }) =>
      engine.variable('gradients', shape, { kind: 'gradients' }),
    );
  }

  /** Gradients of a loss, shape [], by parameter name; zeros where it does not depend on one. */
  of(loss: Tensor): Map<string, Tensor> {
    const all = this.groups.flatMap(({ parameters }) => parameters);
    const found = this.#scaled(
      loss,
      all.map((p) => p.tensor),
    );
    return new Map(all.map((p, i) => [p.name, found[i] ?? constant(0, p.stored)]));
  }

  /** Where products round to f16, small cotangents would vanish: the whole backward pass is scaled up, its ends down again. */
  #scaled(loss: Tensor, wrt: readonly Tensor[]): (Tensor | undefined)[] {
    if (!this.#engine.traits.allowF16Matmul) return gradients(loss, wrt);
    return gradients(mul(loss, LOSS_SCALE), wrt).map((g) => g && mul(g, 1 / LOSS_SCALE));
  }

  /** One tensor a group. */
  pack(byName: ReadonlyMap<string, Tensor>): Tensor[] {
    return this.groups.map(({ parameters, offsets }, i) => {
      const buffer = this.#buffers[i]!;
      return pack(
        parameters.map((p) => byName.get(p.name)!),
        offsets,
        buffer,
        buffer.size,
      );
    });
  }

  /** What `pack` gave, with the groups. */
  grouped(packed: readonly Tensor[]): PackedGradient[] {
    return this.groups.map((group, i) => ({ group, gradient: packed[i]! }));
  }

  free(): void {
    for (const buffer of this.#buffers) this.#engine.free(buffer);
  }
}
