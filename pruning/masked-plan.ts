/**
 * Room: pruning. A plan applied without slicing: masks at 0 for everything it drops. The oracle for slicing, and the way to try
 * a plan, a ratio or a score without slicing anything. Attention skips the heads that are off.
 */
import type { Engine } from '../engine/engine.ts';
import { maskColumns } from '../engine/ops/mask.ts';
import type { Variable } from '../engine/variable.ts';
import type { LayerShape } from '../models/architecture.ts';
import type { ForwardHooks } from '../models/forward-hooks.ts';
import type { PeftModule, PeftRun } from '../peft/module.ts';
import type { Plan } from './plan.ts';

/** Masks of 0 for everything that a plan drops; `options()` goes into a forward pass. */
export class MaskedPlan implements Disposable {
  readonly #engine: Engine;
  readonly #heads: readonly Variable[];
  readonly #neurons: readonly Variable[];
  readonly #kept: ReadonlySet<string>;
  readonly #ranks: ReadonlyMap<string, Variable>;

  /**
   * @param layers sizes of the unpruned model
   * @param plan a module that is not in it is dropped whole
   * @param modules of the unpruned method
   */
  constructor(
    engine: Engine,
    layers: readonly LayerShape[],
    plan: Pick<Plan, 'layers' | 'modules'>,
    modules: readonly PeftModule[],
  ) {
    this.#engine = engine;
    const mask = (name: string, size: number, kept: readonly number[], values?: readonly number[]): Variable => {
      const data = new Float32Array(size);
      kept.forEach((index, i) => (data[index] = values?.[i] ?? 1));
      return engine.variable(name, [size], { kind: 'state', data });
    };
    this.#heads = plan.layers.map((k, l) => mask(`masked.heads.${l}`, layers[l]?.heads ?? 0, k.heads, k.fold?.heads));
    this.#neurons = plan.layers.map((k, l) =>
      mask(`masked.neurons.${l}`, layers[l]?.neurons ?? 0, k.neurons, k.fold?.neurons),
    );
    this.#kept = new Set(Object.keys(plan.modules));
    const ranked = modules.filter((m) => m.ranks > 0);
    this.#ranks = new Map(
      ranked.map((m) => [m.name, mask(`masked.ranks.${m.name}`, m.ranks, plan.modules[m.name]?.kept ?? [])]),
    );
  }

  /** What a forward pass is given for the plan to hold. */
  options(): Required<Pick<PeftRun, 'isActive' | 'rankMask'>> & { readonly hooks: readonly ForwardHooks[] } {
    return {
      isActive: (module) => this.#kept.has(module.name),
      rankMask: (module) => this.#ranks.get(module.name)?.tensor,
      hooks: [this.#hooks()],
    };
  }

  #hooks(): ForwardHooks {
    return {
      activeHeads: (layer) => this.#heads[layer]?.tensor,
      context: (layer, context) => maskColumns(context, this.#heads[layer]!.tensor),
      intermediate: (layer, activated) => maskColumns(activated, this.#neurons[layer]!.tensor),
    };
  }

  /** Frees the masks. */
  free(): void {
    for (const v of [...this.#heads, ...this.#neurons, ...this.#ranks.values()]) this.#engine.free(v);
  }

  /** As `free`, for `using`. */
  [Symbol.dispose](): void {
    this.free();
  }
}
