/** Tests only: reads event files as TensorBoard does, checksums and restarts included. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { maskedCrc32c } from '../../../train/logs/crc32c.ts';

/** Values by tag: the step and the value, in the order in which they were written. */
export type Scalars = Record<string, (readonly [step: number, value: number])[]>;

/** A field of a message: its number, and a number or the bytes of what is within. */
type Field = readonly [number: number, value: number | Buffer];

/** Scalars of a folder. A restart, but for the first one, takes back what was said of its step and later ones. */
export async function scalarsOf(dir: string): Promise<Scalars> {
  let scalars: Scalars = {};
  let hasBegun = false;
  for (const name of (await readdir(dir)).sort()) {
    const [first, ...events] = recordsOf(await readFile(join(dir, name))).map(fieldsOf);
    assert.equal(textOf(find(first!, 3)), 'brain.Event:2');
    for (const event of events) {
      assert(Number(find(event, 1)) > 1.7e9);
      const step = Number(find(event, 2));
      if (find(event, 7) !== undefined) {
        if (hasBegun) scalars = before(scalars, step);
        hasBegun = true;
      }
      for (const [number, value] of fieldsOf((find(event, 5) as Buffer | undefined) ?? Buffer.alloc(0))) {
        assert.equal(number, 1);
        const fields = fieldsOf(value as Buffer);
        (scalars[textOf(find(fields, 1))] ??= []).push([step, Number(find(fields, 2))]);
      }
    }
  }
  return scalars;
}

function before(scalars: Scalars, step: number): Scalars {
  return Object.fromEntries(Object.entries(scalars).map(([tag, values]) => [tag, values.filter(([at]) => at < step)]));
}

function find(fields: readonly Field[], number: number): Field[1] | undefined {
  return fields.find(([own]) => own === number)?.[1];
}

function textOf(value: Field[1] | undefined): string {
  return String(value);
}

/** What the records of a file hold, up to one that is not whole. */
function recordsOf(file: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at + 12 <= file.length;) {
    const length = Number(file.readBigUInt64LE(at));
    if (at + length + 16 > file.length) break;
    const data = file.subarray(at + 12, at + 12 + length);
    assert.equal(file.readUInt32LE(at + 8), maskedCrc32c(file.subarray(at, at + 8)));
    assert.equal(file.readUInt32LE(at + 12 + length), maskedCrc32c(data));
    records.push(data);
    at += length + 16;
  }
  return records;
}

function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++]!;
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
  };
  const skip = (bytes: number): number => (at += bytes) - bytes;
  while (at < message.length) {
    const key = varint();
    const type = key % 8;
    const value = ((): number | Buffer => {
      if (type === 0) return varint();
      if (type === 1) return message.readDoubleLE(skip(8));
      if (type === 5) return message.readFloatLE(skip(4));
      assert.equal(type, 2);
      const length = varint();
      return message.subarray(skip(length), at);
    })();
    fields.push([Math.floor(key / 8), value]);
  }
  return fields;
}
