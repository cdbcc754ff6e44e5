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
  return record(Uint8Array.from([...key(1, FIXED64), ...float64(wallTime), ...eventFields(content)]));
}

function eventFields(content: EventContent): number[] {
  if ('fileVersion' in content) return field(3, utf8(content.fileVersion));
  if ('restartsAt' in content) {
    const session = [...key(1, VARINT), ...varint(START)];
    return [...key(2, VARINT), ...varint(content.restartsAt), ...field(7, session)];
  }
  const values = Object.entries(content.scalars).flatMap(([tag, value]) =>
    field(1, [...field(1, utf8(tag)), ...key(2, FIXED32), ...float32(value)]),
  );
  return [...key(2, VARINT), ...varint(content.step), ...field(5, values)];
}

/** Length, its checksum, the data, its checksum. */
function record(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(bytes.subarray(0, 8)), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
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

function utf8(text: string): Buffer {
  return Buffer.from(text);
}

function float32(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value, true);
  return new Uint8Array(view.buffer);
}

function float64(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value, true);
  return new Uint8Array(view.buffer);
}
