/**
 * Room: engine/io. Checkpoints in safetensors files. The reader checks the whole header when it opens a file, then
 * reads one tensor at a time straight from the disk: host memory is the tensor asked for plus one chunk. The writer
 * streams the same way. Data is little-endian, as is every host WebGPU runs on.
 */
import { open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import { exists, fileError, readJson, writeAtomically, type PendingFile } from './files.ts';
import { findNonFinite } from './finite.ts';
import { bf16ToF32, f16ToF32, f32ToF16 } from './float16.ts';
import type { OpenFile } from './output.ts';
import {
  DTYPE_BYTES,
  encodeHeader,
  fileOrder,
  headerLength,
  parseHeader,
  PREFIX_BYTES,
  tensorBytes,
} from './safetensors-header.ts';
import type { Header, SafetensorsDType, TensorInfo, TensorSpec } from './safetensors-header.ts';

/** A tensor's elements in memory. F16 and BF16 are their bits in a `Uint16Array`; a `Uint8Array` is raw bytes of any dtype. */
export type TensorData =
  | Float32Array
  | Float64Array
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigInt64Array
  | BigUint64Array;

/** An open checkpoint: one file, or the shards of a folder seen as one. */
export interface TensorFile {
  /** The path it was opened from. */
  readonly path: string;
  /** In the order of the header. */
  readonly names: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Whether a tensor of that name is in the file. */
  has(name: string): boolean;
  /** @throws UserError for a name the checkpoint does not have */
  info(name: string): TensorInfo;
  /** Raw little-endian bytes, in order, in chunks whose buffers are used again: use a chunk before asking for the next. */
  chunks(name: string): AsyncGenerator<Uint8Array>;
  /** `chunks` of a weight. @throws UserError where a real number is NaN or infinite, in F64 beyond f32's range */
  finiteChunks(name: string): AsyncGenerator<Uint8Array>;
  /** `finiteChunks` in one array. */
  read(name: string): Promise<Uint8Array>;
  /**
   * F32, F16, BF16 or F64 as f32 (F64 rounds), all finite, in order, in pieces as `finiteChunks` gives them.
   * @param shape where given, the tensor must have it
   */
  floats(name: string, shape?: readonly number[]): AsyncGenerator<Float32Array>;
  /** F16 bits as they are; F32, BF16 and F64 rounded to nearest even. A finite value out of f16's range is refused. */
  halves(name: string, shape?: readonly number[]): AsyncGenerator<Uint16Array>;
  /** `floats` in one array. */
  readFloat32(name: string, shape?: readonly number[]): Promise<Float32Array>;
  /** `halves` in one array. */
  readFloat16(name: string, shape?: readonly number[]): Promise<Uint16Array>;
  /** Whether two tensors are the same bytes of the same type and shape. */
  isEqual(name: string, other: string): Promise<boolean>;
  /** I32, or I64 whose values fit. */
  readInt32(name: string, shape?: readonly number[]): Promise<Int32Array>;
  /** Closes the file and its shards. */
  close(): Promise<void>;
}

/** A multiple of every element's size, and so few that a chunk is still in the cache when it is looked at and copied. */
const CHUNK_BYTES = 1 << 18;

/** What can be read as real numbers. */
const FLOATS = ['F32', 'F16', 'BF16', 'F64'] as const;

interface Shard {
  readonly path: string;
  readonly handle: FileHandle;
  readonly header: Header;
}

const INDEX = 'model.safetensors.index.json';
const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

/**
 * Opens a safetensors file, or a folder with `model.safetensors` or with shards under `model.safetensors.index.json`.
 * @throws UserError where a file is missing, truncated, or its header is wrong in any way
 */
export async function openSafetensors(path: string): Promise<TensorFile> {
  const found = await locate(path);
  if (!found.endsWith('.index.json')) {
    const shard = await openShard(found);
    return new Checkpoint(path, [shard], new Map([...shard.header.tensors.keys()].map((name) => [name, shard])));
  }
  return openSharded(path, found);
}

/** The file to open for `path`. */
async function locate(path: string): Promise<string> {
  const kind = await stat(path).catch((error: unknown) => {
    throw fileError(path, error);
  });
  if (!kind.isDirectory()) return path;
  for (const name of ['model.safetensors', INDEX]) {
    if (await exists(join(path, name))) return join(path, name);
  }
  if ((await exists(join(path, 'pytorch_model.bin'))) || (await exists(join(path, 'pytorch_model.bin.index.json')))) {
    throw new UserError(
      `${path}: only PyTorch weights (pytorch_model.bin), expected safetensors; ${conversion(path, path)}`,
    );
  }
  throw new UserError(`${path}: no weights in this folder, expected model.safetensors or ${INDEX}`);
}

/** A command that writes safetensors. @param from a folder, or a name on the hub @param to a folder */
export function conversion(from: string, to: string): string {
  const code =
    `import sys; from transformers import AutoConfig as C; import transformers as t; d, o = sys.argv[1:]; ` +
    `getattr(t, C.from_pretrained(d).architectures[0]).from_pretrained(d).save_pretrained(o)`;
  return `convert with: python -c "${code}" ${from} ${to}`;
}

async function openShard(path: string): Promise<Shard> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    const { size } = await handle.stat();
    if (size < PREFIX_BYTES) throw new UserError(`${path}: ${size} bytes, too short for a safetensors file`);
    const length = headerLength(await readRange(handle, 0, new Uint8Array(PREFIX_BYTES), path), size, path);
    const json = await readRange(handle, PREFIX_BYTES, new Uint8Array(length), path);
    return { path, handle, header: parseHeader(json, size, path) };
  } catch (error) {
    await handle?.close();
    throw fileError(path, error);
  }
}

async function openSharded(path: string, index: string): Promise<TensorFile> {
  const { weight_map: map } = await readJson(index, indexSchema);
  const opened = new Map<string, Shard>();
  try {
    const owners = new Map<string, Shard>();
    for (const [name, file] of Object.entries(map)) {
      if (file !== basename(file) || !file.endsWith('.safetensors')) {
        throw new UserError(
          `${index}: key "weight_map.${name}": found "${file}", expected a safetensors file beside it`,
        );
      }
      const shard = opened.get(file) ?? (await openShard(join(dirname(index), file)));
      opened.set(file, shard);
      if (!shard.header.tensors.has(name)) {
        throw new UserError(`${shard.path}: tensor "${name}" is missing, ${INDEX} says it is in this file`);
      }
      owners.set(name, shard);
    }
    return new Checkpoint(path, [...opened.values()], owners);
  } catch (error) {
    await Promise.all([...opened.values()].map((shard) => shard.handle.close()));
    throw error;
  }
}

/** Fills `into` from the file at `position`, in reads of at most one chunk. */
async function readRange(handle: FileHandle, position: number, into: Uint8Array, path: string): Promise<Uint8Array> {
  let done = 0;
  while (done < into.byteLength) {
    const want = Math.min(into.byteLength - done, CHUNK_BYTES);
    const { bytesRead } = await handle.read(into, done, want, position + done);
    if (bytesRead === 0) throw new UserError(`${path}: the file became shorter while it was read`);
    done += bytesRead;
  }
  return into;
}

class Checkpoint implements TensorFile {
  readonly path: string;
  readonly names: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly #shards: readonly Shard[];
  readonly #owners: ReadonlyMap<string, Shard>;

  constructor(path: string, shards: readonly Shard[], owners: ReadonlyMap<string, Shard>) {
    this.path = path;
    this.names = [...owners.keys()];
    this.metadata = Object.assign({}, ...shards.map((shard) => shard.header.metadata)) as Record<string, string>;
    this.#shards = shards;
    this.#owners = owners;
  }

  has(name: string): boolean {
    return this.#owners.has(name);
  }

  info(name: string): TensorInfo {
    return this.#find(name).info;
  }

  async *chunks(name: string): AsyncGenerator<Uint8Array> {
    const { shard, info } = this.#find(name);
    const buffers = [0, CHUNK_BYTES].map((at) => new Uint8Array(Math.max(0, Math.min(CHUNK_BYTES, info.bytes - at))));
    const readAt = (at: number): Promise<Uint8Array> => {
      const chunk = buffers[(at / CHUNK_BYTES) % 2]!.subarray(0, Math.min(CHUNK_BYTES, info.bytes - at));
      return readRange(shard.handle, info.begin + at, chunk, shard.path);
    };
    // The disk reads the next chunk while this one is worked on.
    let ahead: Promise<Uint8Array> | undefined = info.bytes > 0 ? readAt(0) : undefined;
    try {
      for (let next = CHUNK_BYTES; ahead; next += CHUNK_BYTES) {
        const chunk: Uint8Array = await ahead;
        ahead = next < info.bytes ? readAt(next) : undefined;
        yield chunk;
      }
    } finally {
      await ahead?.catch(() => undefined);
    }
  }

  async *finiteChunks(name: string): AsyncGenerator<Uint8Array> {
    const { dtype } = this.info(name);
    let at = 0;
    for await (const chunk of this.chunks(name)) {
      const found = findNonFinite(dtype, chunk);
      if (found) {
        const element = `found ${found.value} at element ${at + found.index}`;
        throw this.#fault(name, `${element}, expected finite numbers; the file is of a failed training, or damaged`);
      }
      yield chunk;
      at += chunk.byteLength / DTYPE_BYTES[dtype];
    }
  }

  async read(name: string): Promise<Uint8Array> {
    return collect(this.finiteChunks(name), new Uint8Array(this.info(name).bytes));
  }

  async *floats(name: string, shape?: readonly number[]): AsyncGenerator<Float32Array> {
    const { dtype, bytes } = this.#expect(name, FLOATS, shape);
    const scratch = dtype === 'F32' ? new Float32Array() : new Float32Array(pieceLength(dtype, bytes));
    for await (const chunk of this.finiteChunks(name)) yield toFloat32(dtype, chunk, scratch);
  }

  async *halves(name: string, shape?: readonly number[]): AsyncGenerator<Uint16Array> {
    const { dtype, bytes } = this.#expect(name, FLOATS, shape);
    if (dtype === 'F16') {
      for await (const chunk of this.finiteChunks(name)) yield new Uint16Array(chunk.buffer, 0, chunk.byteLength / 2);
      return;
    }
    const scratch = new Uint16Array(pieceLength(dtype, bytes));
    let at = 0;
    for await (const floats of this.floats(name)) {
      const halves = f32ToF16(floats, scratch.subarray(0, floats.length));
      const lost = halves.findIndex((bits) => (bits & 0x7fff) === 0x7c00);
      if (lost >= 0) {
        const found = `found ${floats[lost]!} at element ${at + lost}`;
        throw this.#fault(name, `${found}, expected at most 65504 to be stored as f16; use f32`);
      }
      yield halves;
      at += floats.length;
    }
  }

  async readFloat32(name: string, shape?: readonly number[]): Promise<Float32Array> {
    return collect(this.floats(name, shape), new Float32Array(this.#elements(name)));
  }

  async readFloat16(name: string, shape?: readonly number[]): Promise<Uint16Array> {
    return collect(this.halves(name, shape), new Uint16Array(this.#elements(name)));
  }

  async readInt32(name: string, shape?: readonly number[]): Promise<Int32Array> {
    const { dtype } = this.#expect(name, ['I32', 'I64'], shape);
    const { buffer } = await this.read(name);
    if (dtype === 'I32') return new Int32Array(buffer as ArrayBuffer);
    const wide = new BigInt64Array(buffer as ArrayBuffer);
    const lost = wide.findIndex((value) => BigInt.asIntN(32, value) !== value);
    if (lost >= 0) throw this.#fault(name, `found ${wide[lost]!} at element ${lost}, expected a 32-bit integer`);
    return Int32Array.from(wide, Number);
  }

  async isEqual(name: string, other: string): Promise<boolean> {
    const [a, b] = [this.info(name), this.info(other)];
    if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return false;
    const others = this.chunks(other);
    for await (const chunk of this.chunks(name)) {
      const next = await others.next();
      if (next.done || Buffer.compare(chunk, next.value) !== 0) return false;
    }
    return true;
  }

  async close(): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.handle.close()));
  }

  #find(name: string): { shard: Shard; info: TensorInfo } {
    const shard = this.#owners.get(name);
    const info = shard?.header.tensors.get(name);
    if (shard && info) return { shard, info };
    const some = this.names.slice(0, 3).map((n) => `"${n}"`);
    throw new UserError(`${this.path}: no tensor "${name}"; the ${this.names.length} it has begin ${some.join(', ')}`);
  }

  #elements(name: string): number {
    const { dtype, bytes } = this.info(name);
    return bytes / DTYPE_BYTES[dtype];
  }

  #expect(name: string, dtypes: readonly SafetensorsDType[], shape: readonly number[] | undefined): TensorInfo {
    const { info } = this.#find(name);
    if (!dtypes.includes(info.dtype)) throw this.#fault(name, `dtype ${info.dtype}, expected ${dtypes.join(' or ')}`);
    if (shape && (shape.length !== info.shape.length || shape.some((n, i) => n !== info.shape[i]))) {
      throw this.#fault(name, `shape [${info.shape.join(', ')}], expected [${shape.join(', ')}]`);
    }
    return info;
  }

  #fault(name: string, fault: string): UserError {
    return new UserError(`${this.#find(name).shard.path}: tensor "${name}": ${fault}`);
  }
}

/** Elements of the largest piece of a tensor. */
function pieceLength(dtype: SafetensorsDType, bytes: number): number {
  return Math.min(CHUNK_BYTES, bytes) / DTYPE_BYTES[dtype];
}

/** A chunk's values as f32: the chunk itself where it holds them, else converted into the first elements of `scratch`. */
function toFloat32(dtype: SafetensorsDType, { buffer, byteLength }: Uint8Array, scratch: Float32Array): Float32Array {
  const length = byteLength / DTYPE_BYTES[dtype];
  if (dtype === 'F32') return new Float32Array(buffer, 0, length);
  const target = scratch.subarray(0, length);
  if (dtype === 'F64') target.set(new Float64Array(buffer, 0, length));
  else (dtype === 'F16' ? f16ToF32 : bf16ToF32)(new Uint16Array(buffer, 0, length), target);
  return target;
}

async function collect<T extends Float32Array | Uint16Array | Uint8Array>(
  pieces: AsyncIterable<T>,
  into: T,
): Promise<T> {
  let at = 0;
  for await (const piece of pieces) {
    into.set(piece, at);
    at += piece.length;
  }
  return into;
}

/** A tensor to write: its elements, or a function that fetches them, whole or in pieces, when their turn comes. */
export interface TensorEntry extends TensorSpec {
  /** Its values, or how to get them, whole or in pieces. */
  readonly data: TensorData | (() => Promise<TensorData>) | (() => AsyncIterable<TensorData>);
}

/**
 * What writes a safetensors file, byte for byte as the reference library would: one tensor in memory at a time.
 * @throws Error where an entry's data does not fit its dtype and shape, or a name comes twice; UserError for NaN and infinity
 */
export function safetensorsWriter(
  entries: Iterable<TensorEntry>,
  metadata: Readonly<Record<string, string>> = {},
): PendingFile['write'] {
  const ordered = fileOrder(entries);
  const header = encodeHeader(ordered, metadata);
  return async (file) => {
    await file.writeFile(header);
    for (const entry of ordered) await writeEntry(file, entry);
  };
}

/** Writes one safetensors file, atomically. @throws as `safetensorsWriter`; UserError where the disk refuses */
export async function writeSafetensors(
  path: string,
  entries: Iterable<TensorEntry>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeAtomically([{ path, write: safetensorsWriter(entries, metadata) }]);
}

async function writeEntry(file: OpenFile, entry: TensorEntry): Promise<void> {
  let bytes = 0;
  for await (const piece of piecesOf(entry)) {
    const raw = bytesOf(entry, piece);
    const found = findNonFinite(entry.dtype, raw);
    if (found)
      throw new UserError(`tensor "${entry.name}": ${found.value} came out, expected finite numbers; not written`);
    await file.writeFile(raw);
    bytes += raw.byteLength;
  }
  const { name, dtype, shape } = entry;
  if (bytes === tensorBytes(dtype, shape)) return;
  throw new Error(`safetensors: tensor "${name}": ${bytes} bytes, expected ${dtype} [${shape.join(', ')}]`);
}

async function* piecesOf({ data }: TensorEntry): AsyncGenerator<TensorData> {
  const given = typeof data === 'function' ? data() : data;
  if (Symbol.asyncIterator in given) yield* given;
  else yield await given;
}

const ARRAY_OF: Record<SafetensorsDType, string> = {
  BOOL: 'Uint8Array',
  U8: 'Uint8Array',
  I8: 'Int8Array',
  F8_E5M2: 'Uint8Array',
  F8_E4M3: 'Uint8Array',
  I16: 'Int16Array',
  U16: 'Uint16Array',
  F16: 'Uint16Array',
  BF16: 'Uint16Array',
  I32: 'Int32Array',
  U32: 'Uint32Array',
  F32: 'Float32Array',
  F64: 'Float64Array',
  I64: 'BigInt64Array',
  U64: 'BigUint64Array',
};

function bytesOf({ name, dtype }: TensorEntry, data: TensorData): Uint8Array {
  const kind = data.constructor.name;
  if (!(data instanceof Uint8Array) && kind !== ARRAY_OF[dtype]) {
    throw new Error(`safetensors: tensor "${name}": ${kind}, expected ${dtype}`);
  }
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
