/** Room: models. A frozen table that stays in host memory: a batch takes its rows along, the device never holds the whole. */
import { bf16ToF32, f16ToF32 } from '../engine/io/float16.ts';
import type { TensorFile } from '../engine/io/safetensors.ts';
import type { Shape } from '../engine/graph/shape.ts';

/** Rows as they are held: 16-bit numbers as their bits. */
type Encoding = 'f32' | 'f16' | 'bf16';

export class OffloadedEmbedding {
  readonly name: string;
  readonly shape: Shape;
  readonly #data: Float32Array | Uint16Array;
  readonly #encoding: Encoding;

  /** @param data row-major */
  constructor(
    name: string,
    shape: readonly [rows: number, cols: number],
    data: Float32Array | Uint16Array,
    encoding: Encoding = data instanceof Uint16Array ? 'f16' : 'f32',
  ) {
    this.name = name;
    this.shape = shape;
    this.#data = data;
    this.#encoding = encoding;
  }

  /**
   * A table of a checkpoint, in no more memory than it takes there: what the file holds in 16 bits stays so.
   * @param key its name in the file
   * @param half rounds to f16
   * @throws UserError where it is missing, or of another shape
   */
  static async read(
    file: TensorFile,
    key: string,
    name: string,
    shape: readonly [rows: number, cols: number],
    half: boolean,
  ): Promise<OffloadedEmbedding> {
    const { dtype } = file.info(key);
    if (half || dtype === 'F16') return new OffloadedEmbedding(name, shape, await file.readFloat16(key, shape));
    if (dtype !== 'BF16') return new OffloadedEmbedding(name, shape, await file.readFloat32(key, shape));
    const { buffer } = await file.read(key);
    return new OffloadedEmbedding(name, shape, new Uint16Array(buffer as ArrayBuffer), 'bf16');
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
      const into = out.subarray(i * cols, (i + 1) * cols);
      if (row instanceof Float32Array) into.set(row);
      else (this.#encoding === 'bf16' ? bf16ToF32 : f16ToF32)(row, into);
    });
    return out;
  }
}
