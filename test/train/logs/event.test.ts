/** Protects: event files are, byte for byte, what TensorBoard writes, checksums included. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { crc32c, maskedCrc32c } from '../../../train/logs/crc32c.ts';
import { eventRecord, type EventContent } from '../../../train/logs/event.ts';

const golden = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', '..', 'goldens', 'tensorboard', 'records.json'), 'utf8'),
) as {
  readonly checksums: readonly { readonly hex: string; readonly crc32c: number; readonly masked: number }[];
  readonly records: readonly { readonly wallTime: number; readonly content: EventContent; readonly hex: string }[];
};

it.each(golden.checksums)('CRC-32C of $hex', ({ hex, crc32c: crc, masked }) => {
  const bytes = Buffer.from(hex, 'hex');
  expect(crc32c(bytes)).toBe(crc);
  expect(maskedCrc32c(bytes)).toBe(masked);
});

it.each([
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 times 255', new Uint8Array(32).fill(255), 0x62a8ab43],
  ['0 … 31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ['31 … 0', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
])('CRC-32C of %s is that of RFC 3720', (_, bytes, expected) => {
  expect(crc32c(bytes)).toBe(expected);
});

it.each(golden.records)('the record of $content', ({ wallTime, content, hex }) => {
  expect(Buffer.from(eventRecord(wallTime, content)).toString('hex')).toBe(hex);
});
