/** Room: models. A checkpoint's file whose vocabulary has another size: the last rows are cut, or those that it lacks are the mean of its own. */
import { f32ToF16 } from '../engine/io/float16.ts';
import { openSafetensors, type TensorFile } from '../engine/io/safetensors.ts';
import type { TensorInfo } from '../engine/io/safetensors-header.ts';
import { sizeOf } from '../engine/graph/shape.ts';
import type { ModelConfig } from './architecture.ts';
import { storedName, vocabularyWeights } from './weights.ts';

/** Opens a checkpoint's weights at the sizes of `config`. @throws UserError as `openSafetensors` */
export async function openWeights(dir: string, config: ModelConfig): Promise<TensorFile> {
  const file = await openSafetensors(dir);
  const { savedVocabSize } = config;
  if (savedVocabSize === undefined) return file;
  const stored = vocabularyWeights(config).flatMap((name) => storedName(file, name, config) ?? []);
  const resized = stored.filter((name) => file.info(name).shape[0] === savedVocabSize);
  return new ResizedFile(file, new Set(resized), config.vocabSize);
}

/** What has another number of rows is f32, whatever the file holds. */
class ResizedFile implements TensorFile {
  readonly path: string;
  readonly names: readonly string[];
  readonly metadata: TensorFile['metadata'];
  readonly #file: TensorFile;
  readonly #resized: ReadonlySet<string>;
  readonly #rows: number;

  constructor(file: TensorFile, resized: ReadonlySet<string>, rows: number) {
    this.path = file.path;
    this.names = file.names;
    this.metadata = file.metadata;
    this.#file = file;
    this.#resized = resized;
    this.#rows = rows;
  }

  has(name: string): boolean {
    return this.#file.has(name);
  }

  info(name: string): TensorInfo {
    const info = this.#file.info(name);
    if (!this.#resized.has(name)) return info;
    const shape = [this.#rows, ...info.shape.slice(1)];
    return { ...info, dtype: 'F32', shape, bytes: 4 * sizeOf(shape) };
  }

  async *chunks(name: string): AsyncGenerator<Uint8Array> {
    if (this.#resized.has(name)) yield* bytesOf(this.floats(name));
    else yield* this.#file.chunks(name);
  }

  async *finiteChunks(name: string): AsyncGenerator<Uint8Array> {
    if (this.#resized.has(name)) yield* bytesOf(this.floats(name));
    else yield* this.#file.finiteChunks(name);
  }

  async read(name: string): Promise<Uint8Array> {
    if (!this.#resized.has(name)) return this.#file.read(name);
    return new Uint8Array((await this.readFloat32(name)).buffer);
  }

  async *floats(name: string, shape?: readonly number[]): AsyncGenerator<Float32Array> {
    const saved = this.#file.floats(name, this.#savedShape(name, shape));
    if (!this.#resized.has(name)) {
      yield* saved;
      return;
    }
    yield* firstOf(saved, sizeOf(this.info(name).shape));
    if (this.#addedRows(name) > 0) yield await this.#newRows(name);
  }

  async *halves(name: string, shape?: readonly number[]): AsyncGenerator<Uint16Array> {
    const saved = this.#file.halves(name, this.#savedShape(name, shape));
    if (!this.#resized.has(name)) {
      yield* saved;
      return;
    }
    yield* firstOf(saved, sizeOf(this.info(name).shape));
    if (this.#addedRows(name) <= 0) return;
    const rows = await this.#newRows(name);
    yield f32ToF16(rows, new Uint16Array(rows.length));
  }

  readFloat32(name: string, shape?: readonly number[]): Promise<Float32Array> {
    return collected(this.floats(name, shape), new Float32Array(sizeOf(this.info(name).shape)));
  }

  readFloat16(name: string, shape?: readonly number[]): Promise<Uint16Array> {
    return collected(this.halves(name, shape), new Uint16Array(sizeOf(this.info(name).shape)));
  }

  isEqual(name: string, other: string): Promise<boolean> {
    return this.#file.isEqual(name, other);
  }

  readInt32(name: string, shape?: readonly number[]): Promise<Int32Array> {
    return this.#file.readInt32(name, shape);
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #savedShape(name: string, shape: readonly number[] | undefined): readonly number[] | undefined {
    if (!shape || !this.#resized.has(name)) return shape;
    return [shape[0]! - this.#rows + this.#file.info(name).shape[0]!, ...shape.slice(1)];
  }

  #addedRows(name: string): number {
    return this.#rows - this.#file.info(name).shape[0]!;
  }

  /** The mean of all rows, summed in f64, once for each new one. */
  async #newRows(name: string): Promise<Float32Array> {
    const [saved = 0, ...rest] = this.#file.info(name).shape;
    const sums = new Float64Array(sizeOf(rest));
    let at = 0;
    for await (const piece of this.#file.floats(name)) for (const value of piece) sums[at++ % sums.length]! += value;
    const rows = new Float32Array(this.#addedRows(name) * sums.length);
    return rows.map((_, i) => sums[i % sums.length]! / saved);
  }
}

/** Pieces up to so many values. */
async function* firstOf<T extends Float32Array | Uint16Array>(
  pieces: AsyncIterable<T>,
  most: number,
): AsyncGenerator<T> {
  let left = most;
  for await (const piece of pieces) {
    if (left === 0) return;
    const cut = piece.subarray(0, left) as T;
    yield cut;
    left -= cut.length;
  }
}

async function* bytesOf(pieces: AsyncIterable<Float32Array>): AsyncGenerator<Uint8Array> {
  for await (const { buffer, byteOffset, byteLength } of pieces) yield new Uint8Array(buffer, byteOffset, byteLength);
}

async function collected<T extends Float32Array | Uint16Array>(pieces: AsyncIterable<T>, into: T): Promise<T> {
  let at = 0;
  for await (const piece of pieces) {
    into.set(piece, at);
    at += piece.length;
  }
  return into;
}
