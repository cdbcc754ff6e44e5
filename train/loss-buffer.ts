/** Room: train. Losses of the latest steps, kept on the device so that a step never waits for the host. */
import type { Engine } from '../engine/engine.ts';
import type { Update } from '../engine/compile/graph.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { equal, where } from '../engine/ops/elementwise.ts';
import type { Variable } from '../engine/variable.ts';

/** Program input naming the slot a step writes: i32 [1]. */
export const SLOT_INPUT = { shape: [1], dtype: 'i32' } as const;

export class LossBuffer {
  /** Steps that fit before they must be read. */
  readonly length: number;
  readonly #engine: Engine;
  readonly #slots: Variable;
  readonly #series: ReadonlyMap<string, Variable>;

  /** @param names of the series, e.g. `loss` and `task_loss` */
  constructor(engine: Engine, names: readonly string[], length: number) {
    this.#engine = engine;
    this.length = length;
    const data = Int32Array.from({ length }, (_, i) => i);
    this.#slots = engine.variable('history.slots', [length], { dtype: 'i32', kind: 'state', data });
    this.#series = new Map(names.map((n) => [n, engine.variable(`history.${n}`, [length], { kind: 'state' })]));
  }

  /** The slot of a step, as the program's input. */
  slot(step: number): Int32Array {
    return Int32Array.of(step % this.length);
  }

  /** Writes scalars of this step into their series; those without one are left out. */
  record(slot: Tensor, values: Readonly<Record<string, Tensor>>): Update[] {
    const here = equal(this.#slots.tensor, slot);
    return [...this.#series].map(([name, series]) => {
      const value = values[name];
      if (!value) throw new Error(`history: no value for ${name}`);
      return { target: series, value: where(here, value, series.tensor) };
    });
  }

  /** Values of steps from … to − 1, at most `length` of them. */
  async read(name: string, from: number, to: number): Promise<number[]> {
    const values = await this.#engine.read(this.#series.get(name)!);
    return Array.from({ length: to - from }, (_, i) => values[(from + i) % this.length]!);
  }

  free(): void {
    for (const variable of [this.#slots, ...this.#series.values()]) this.#engine.free(variable);
  }
}
