/** Room: models. A frozen table that stays in host memory: a batch takes its rows along, the device never holds the whole. */
import { f16ToF32 } from '../engine/io/float16.ts';
import type { Shape } from '../engine/graph/shape.ts';

export class HostTable {
  readonly name: string;
  readonly shape: Shape;
  readonly #data: Float32Array | Uint16Array;

  /** @param data row-major; f16 as its bits */
  constructor(name: string, shape: readonly [rows: number, cols: number], data: Float32Array | Uint16Array) {
    this.name = name;
    this.shape = shape;
    this.#data = data;
  }

  get size(): number {
    return this.#data.length;
  }

  /**
   * Rows by id, as `gatherRows` gives them: an id outside the table gives zeros.
   * @returns f32 [ids.length, cols]
   */
  rows(ids: Int32Array): Float32Array {
    const [count, cols] = this.shape as [number, number];
    const out = new Float32Array(ids.length * cols);
    ids.forEach((id, i) => {
      if (id < 0 || id >= count) return;
      const row = this.#data.subarray(id * cols, (id + 1) * cols);
      out.set(row instanceof Uint16Array ? f16ToF32(row) : row, i * cols);
    });
    return out;
  }
}
