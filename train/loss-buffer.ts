/** Room: train. Losses of the latest steps, and what else there is to tell of them, kept on the device so that a step never waits for the host. */
import type { Engine } from '../engine/engine.ts';
import type { Update } from '../engine/compile/graph.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { equal, where } from '../engine/ops/elementwise.ts';
import { reshape } from '../engine/ops/leaf.ts';
import type { Variable } from '../engine/variable.ts';

/** Program input naming the slot a step writes: i32 [1]. */
export const SLOT_INPUT = { shape: [1], dtype: 'i32' } as const;

export class LossBuffer {
  /** Steps that fit before they must be read. */
  readonly length: number;
  readonly #engine: Engine;
  readonly #slots: Variable;
  readonly #series: ReadonlyMap<string, Variable>;

  /** @param series values of a step in each, by name, e.g. `{ loss: 1 }` */
  constructor(engine: Engine, series: Readonly<Record<string, number>>, length: number) {
    this.#engine = engine;
    this.length = length;
    const data = Int32Array.from({ length }, (_, i) => i);
    this.#slots = engine.variable('history.slots', [length], { dtype: 'i32', kind: 'state', data });
    this.#series = new Map(
      Object.entries(series).map(([name, width]) => [
        name,
        engine.variable(`history.${name}`, [length, width], { kind: 'state' }),
      ]),
    );
  }

  /** The slot of a step, as the program's input. */
  slot(step: number): Int32Array {
    return Int32Array.of(step % this.length);
  }

  /** Writes values of this step into their series, f32 of the series' width; those without one are left out. */
  record(slot: Tensor, values: Readonly<Record<string, Tensor>>): Update[] {
    const here = reshape(equal(this.#slots.tensor, slot), [this.length, 1]);
    return [...this.#series].map(([name, series]) => {
      const value = values[name];
      if (!value) throw new Error(`history: no value for ${name}`);
      return { target: series, value: where(here, reshape(value, [1, value.size]), series.tensor) };
    });
  }

  /** Values of steps from … to − 1, at most `length` of them, in a series of one a step. */
  async read(name: string, from: number, to: number): Promise<number[]> {
    return (await this.readRows(name, from, to)).map(([value]) => value!);
  }

  /** As `read`, for a series of several a step. */
  async readRows(name: string, from: number, to: number): Promise<number[][]> {
    const series = this.#series.get(name)!;
    const values = await this.#engine.read(series);
    const width = series.size / this.length;
    return Array.from({ length: to - from }, (_, i) => {
      const start = ((from + i) % this.length) * width;
      return [...values.subarray(start, start + width)];
    });
  }

  free(): void {
    for (const variable of [this.#slots, ...this.#series.values()]) this.#engine.free(variable);
  }
}
