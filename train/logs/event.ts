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
export function eventRecord(wallTime: number, content: EventContent): Buffer {
  return record(Buffer.concat([key(1, FIXED64), float64(wallTime), ...eventFields(content)]));
}

function eventFields(content: EventContent): Buffer[] {
  if ('fileVersion' in content) return [field(3, Buffer.from(content.fileVersion))];
  if ('restartsAt' in content) {
    const session = Buffer.concat([key(1, VARINT), varint(START)]);
    return [key(2, VARINT), varint(content.restartsAt), field(7, session)];
  }
  const values = Object.entries(content.scalars).map(([tag, value]) =>
    field(1, Buffer.concat([field(1, Buffer.from(tag)), key(2, FIXED32), float32(value)])),
  );
  return [key(2, VARINT), varint(content.step), field(5, Buffer.concat(values))];
}

/** Length, its checksum, the data, its checksum. */
function record(data: Buffer): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, checksum(length), data, checksum(data)]);
}

function checksum(bytes: Buffer): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(maskedCrc32c(bytes));
  return buffer;
}

function field(number: number, content: Buffer): Buffer {
  return Buffer.concat([key(number, BYTES), varint(content.length), content]);
}

function key(number: number, type: number): Buffer {
  return varint(number * 8 + type);
}

/** @param value from 0 up to 2^53 */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80);
  return Buffer.from([...bytes, rest]);
}

function float32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeFloatLE(value);
  return buffer;
}

function float64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeDoubleLE(value);
  return buffer;
}
