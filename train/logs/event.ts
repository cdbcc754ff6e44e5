/**
 * Room: train/logs. TensorBoard's event files: TensorFlow's records, each a message `Event` of its protocol buffers, as far as scalars need
 * them. Pure functions. Fields and their numbers are those of `event.proto` and `summary.proto` of TensorBoard.
 */
import { maskedCrc32c } from './crc32c.ts';

/** What a record tells, beside its time. */
export type EventContent =
  /** The first of a file. */
  | { readonly fileVersion: string }
  /** A run that goes on: what other files tell of `step` and later steps counts no more. */
  | { readonly restartsAt: number }
  /** Figures by tag. They become f32. */
  | { readonly step: number; readonly scalars: Readonly<Record<string, number>> };

/** Types of fields on the wire. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** `SessionLog.START` */
const START = 1;

/** A record of an event file. @param wallTime seconds since 1970 */
export function eventRecord(wallTime: number, content: EventContent): Uint8Array {
  const time = Buffer.alloc(9);
  time.writeUInt8(key(1, FIXED64)[0]!);
  time.writeDoubleLE(wallTime, 1);
  return record([time, ...eventFields(content)]);
}

function eventFields(content: EventContent): Uint8Array[] {
  if ('fileVersion' in content) return [Uint8Array.from(field(3, Buffer.from(content.fileVersion)))];
  if ('restartsAt' in content) {
    const session = [...key(1, VARINT), ...varint(START)];
    return [Uint8Array.from([...key(2, VARINT), ...varint(content.restartsAt), ...field(7, session)])];
  }
  const scalars = Object.entries(content.scalars);
  const heads = scalars.map(([tag]) => scalarHead(tag));
  const bytes = heads.reduce((sum, head) => sum + head.length + 4, 0);
  const values = Buffer.allocUnsafe(bytes);
  let at = 0;
  scalars.forEach(([, value], i) => {
    values.set(heads[i]!, at);
    at = values.writeFloatLE(value, at + heads[i]!.length);
  });
  return [Uint8Array.from([...key(2, VARINT), ...varint(content.step), ...key(5, BYTES), ...varint(bytes)]), values];
}

/** By tag: a run has few, and writes them at every step. */
const SCALAR_HEADS = new Map<string, Uint8Array>();

/** A figure in a summary, up to its four bytes. */
function scalarHead(tag: string): Uint8Array {
  const known = SCALAR_HEADS.get(tag);
  if (known) return known;
  const before = [...field(1, Buffer.from(tag)), ...key(2, FIXED32)];
  const head = Uint8Array.from([...key(1, BYTES), ...varint(before.length + 4), ...before]);
  SCALAR_HEADS.set(tag, head);
  return head;
}

/** Length, its checksum, the data, its checksum. */
function record(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = Buffer.allocUnsafe(length + 16);
  bytes.writeBigUInt64LE(BigInt(length));
  bytes.writeUInt32LE(maskedCrc32c(bytes.subarray(0, 8)), 8);
  let end = 12;
  for (const part of parts) {
    bytes.set(part, end);
    end += part.length;
  }
  bytes.writeUInt32LE(maskedCrc32c(bytes.subarray(12, end)), end);
  return bytes;
}

function field(number: number, content: Iterable<number> & { readonly length: number }): number[] {
  return [...key(number, BYTES), ...varint(content.length), ...content];
}

function key(number: number, type: number): number[] {
  return varint(number * 8 + type);
}

/** @param value from 0 up to 2^53 */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80);
  return [...bytes, rest];
}
