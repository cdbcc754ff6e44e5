/**
 * Room: engine/io. The header of a safetensors file: parsed with every promise it makes checked, and written. Pure.
 *
 * Layout: 8 bytes N (little-endian u64), N bytes of JSON (`{name: {dtype, shape, data_offsets: [begin, end]}}` and
 * optionally `__metadata__: {string: string}`), then the data, which the tensors cover without holes or overlap.
 * Source: https://github.com/huggingface/safetensors, "Format".
 */
import { z } from 'zod';
import { UserError } from '../errors.ts';
import { parseJson, validate } from './files.ts';

/** Bytes of one element; in the order in which the reference writer sorts dtypes, the last first in the file. */
export const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

export type SafetensorsDType = keyof typeof DTYPE_BYTES;

const DTYPES = Object.keys(DTYPE_BYTES) as SafetensorsDType[];

/** One tensor of a file: C-contiguous elements at `begin` (bytes from the start of the file). */
export interface TensorInfo {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly begin: number;
}

export interface Header {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The prefix that holds the header's length. */
export const PREFIX_BYTES = 8;
const MAX_HEADER_BYTES = 100_000_000;
const METADATA = '__metadata__';

const size = z.int().nonnegative();
const entrySchema = z.strictObject({
  dtype: z.enum(DTYPES),
  shape: z.array(size),
  data_offsets: z.tuple([size, size]),
});
const headerSchema = z.record(z.string(), z.unknown());
const metadataSchema = z.record(z.string(), z.string());

/**
 * The header's length, checked against the format's cap and the file.
 * @param prefix the file's first 8 bytes
 */
export function headerLength(prefix: Uint8Array, fileBytes: number, file: string): number {
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  const length = view.getBigUint64(0, true);
  const room = fileBytes - PREFIX_BYTES;
  const expected = `expected 2 to ${Math.min(room, MAX_HEADER_BYTES)} in a file of ${fileBytes} bytes`;
  if (length < 2n || length > BigInt(Math.min(room, MAX_HEADER_BYTES))) {
    throw new UserError(`${file}: header length ${length}, ${expected}; the file is truncated or no safetensors file`);
  }
  return Number(length);
}

/**
 * Parses and checks a header.
 * @param json the header's bytes
 * @param fileBytes size of the whole file: the data must end exactly there
 * @throws UserError naming the tensor, what was found and what was expected
 */
export function parseHeader(json: Uint8Array, fileBytes: number, file: string): Header {
  const entries = validate(parseJson(decodeUtf8(json, file), `${file}: header`), headerSchema, `${file}: header`);
  const dataStart = PREFIX_BYTES + json.byteLength;
  const tensors = new Map<string, TensorInfo>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(entries)) {
    if (name === METADATA) metadata = validate(entry, metadataSchema, `${file}: header key "${METADATA}"`);
    else tensors.set(name, parseEntry(entry, dataStart, `${file}: tensor "${name}"`));
  }
  checkCoverage(tensors, dataStart, fileBytes, file);
  return { tensors, metadata };
}

function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${file}: the header is not UTF-8 text; no safetensors file, or a damaged one`);
  }
}

function parseEntry(entry: unknown, dataStart: number, where: string): TensorInfo {
  const { dtype, shape, data_offsets: offsets } = validate(entry, entrySchema, where);
  const [begin, end] = offsets;
  const expected = tensorBytes(dtype, shape);
  if (!Number.isSafeInteger(expected)) throw new UserError(`${where}: shape [${shape.join(', ')}] is beyond any file`);
  if (end - begin !== expected) {
    const promise = `${dtype} of shape [${shape.join(', ')}] needs ${expected}`;
    throw new UserError(`${where}: data_offsets [${begin}, ${end}] hold ${end - begin} bytes, ${promise}`);
  }
  return { dtype, shape, bytes: expected, begin: dataStart + begin };
}

/** Bytes of a tensor. */
export function tensorBytes(dtype: SafetensorsDType, shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, DTYPE_BYTES[dtype]);
}

/** Laid end to end the tensors must cover the data exactly. */
function checkCoverage(tensors: ReadonlyMap<string, TensorInfo>, start: number, fileBytes: number, file: string): void {
  const byOffset = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.bytes - b.bytes);
  let end = start;
  for (const [name, info] of byOffset) {
    if (info.begin !== end) {
      const fault = info.begin < end ? 'overlaps the tensor before it' : 'leaves a hole before it';
      throw new UserError(
        `${file}: tensor "${name}" ${fault}: begins at ${info.begin - start}, expected ${end - start}`,
      );
    }
    end += info.bytes;
  }
  if (end !== fileBytes) {
    const fault = end > fileBytes ? 'truncated' : 'longer than its header says';
    throw new UserError(`${file}: the file is ${fault}: ${fileBytes} bytes, expected ${end}`);
  }
}

/** A tensor still to be written. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
}

/** The reference writer's order: wide dtypes first (which keeps every tensor aligned), then by name. */
export function fileOrder<T extends TensorSpec>(specs: Iterable<T>): T[] {
  const rank = (spec: T): number => DTYPES.indexOf(spec.dtype);
  return [...specs].sort((a, b) => rank(b) - rank(a) || (a.name < b.name ? -1 : 1));
}

/** Prefix and JSON for tensors written in the given order, padded with spaces so that the data starts at a multiple of 8. */
export function encodeHeader(specs: readonly TensorSpec[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const entries: [string, unknown][] = Object.keys(metadata).length > 0 ? [[METADATA, metadata]] : [];
  const seen = new Set<string>([METADATA]);
  let offset = 0;
  for (const { name, dtype, shape } of specs) {
    if (seen.has(name)) throw new Error(`safetensors: tensor name "${name}" is reserved or given twice`);
    seen.add(name);
    const end = offset + tensorBytes(dtype, shape);
    entries.push([name, { dtype, shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  // Not `JSON.stringify` of an object: JavaScript would reorder names that look like integers.
  const json = `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`;
  const body = new TextEncoder().encode(json);
  const header = new Uint8Array(PREFIX_BYTES + Math.ceil(body.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - PREFIX_BYTES), true);
  header.set(body, PREFIX_BYTES);
  return header;
}
