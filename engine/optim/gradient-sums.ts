/** Room: engine/optim. Gradients added up over several programs, in one buffer for each group of parameters. */
import type { Update } from '../compile/graph.ts';
import type { Engine } from '../engine.ts';
import { namedScope } from '../graph/scope.ts';
import type { Tensor } from '../graph/tensor.ts';
import { add, constant } from '../ops/elementwise.ts';
import type { Variable } from '../variable.ts';
import type { PackedGradients } from './packed-gradients.ts';

export class GradientSums {
  readonly #engine: Engine;
  readonly #packed: PackedGradients;
  /** One a group, of its size. */
  readonly sums: readonly Variable[];

  constructor(engine: Engine, packed: PackedGradients) {
    this.#engine = engine;
    this.#packed = packed;
    this.sums = packed.groups.map(({ flat: { shape } }) =>
      engine.variable('gradients.accumulated', shape, { kind: 'gradients' }),
    );
  }

  /** Adds the gradients of a part of the loss, shape []. */
  add(loss: Tensor): Update[] {
    return namedScope('optimizer', () => {
      const packed = this.#packed.pack(this.#packed.of(loss));
      return this.sums.map((target, i) => ({ target, value: add(target.tensor, packed[i]!) }));
    });
  }

  /** The sums so far, by the name of the parameter. */
  byName(): Map<string, Tensor> {
    const views = this.#packed.groups.flatMap(({ parameters, offsets }, i) =>
      parameters.map(({ name, shape, stored }, p) => {
        const { tensor } = this.sums[i]!.view(name, offsets[p]!, shape, stored);
        return [name, tensor] as const;
      }),
    );
    return new Map(views);
  }

  /** Begins anew. */
  cleared(): Update[] {
    return this.sums.map((target) => ({ target, value: constant(0, target.shape) }));
  }

  free(): void {
    for (const sum of this.sums) this.#engine.free(sum);
  }
}
