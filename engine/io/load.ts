/** Room: engine/io. Tensors of a checkpoint as variables on the device, read and placed piece by piece. */
import type { DType } from '../../kernels/kernel.ts';
import type { HostArray } from '../device/uploads.ts';
import type { Shape } from '../graph/shape.ts';
import type { Variable, VariableStore } from '../variable.ts';
import type { TensorFile } from './safetensors.ts';

/** What a tensor of a file becomes. */
export interface Placing {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: Extract<DType, 'f32' | 'f16'>;
  /** Whether the file holds the matrix [cols, rows]; it is then turned on the host, as a whole. */
  readonly transposed?: boolean;
}

/** Bytes read so far, and in all. */
export type OnBytes = (done: number, total: number) => void;

/**
 * A frozen weight from a file, converted on the way to f32 or f16.
 * @param key the tensor's name in the file
 * @param place the variable to fill, where there is one already
 * @throws UserError for a tensor that is missing, of another shape, or out of f16's range
 */
export async function loadWeight(
  store: VariableStore,
  file: TensorFile,
  key: string,
  placing: Placing,
  place?: Variable,
): Promise<Variable> {
  const { name, shape, dtype, transposed = false } = placing;
  const stored = transposed ? [...shape].reverse() : shape;
  const pieces: AsyncIterable<HostArray> = dtype === 'f16' ? file.halves(key, stored) : file.floats(key, stored);
  const variable = place ?? store.variable(name, shape, { kind: 'weights', dtype });
  try {
    await store.fill(variable, transposed ? turned(pieces, shape, dtype) : pieces);
  } catch (error) {
    if (!place) store.free(variable);
    throw error;
  }
  return variable;
}

/** A matrix [rows, cols] from pieces of one stored [cols, rows]. */
async function* turned(
  pieces: AsyncIterable<HostArray>,
  [rows, cols]: Shape,
  dtype: Placing['dtype'],
): AsyncGenerator<HostArray> {
  const size = rows! * cols!;
  const out = dtype === 'f16' ? new Uint16Array(size) : new Float32Array(size);
  let at = 0;
  for await (const piece of pieces) {
    for (let i = 0; i < piece.length; i++, at++) out[(at % rows!) * cols! + Math.floor(at / rows!)] = piece[i]!;
  }
  yield out;
}
