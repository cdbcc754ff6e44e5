/** Protects: f16 and bf16 storage. Every f16 value survives a round trip; rounding is to nearest, ties to even. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bf16ToF32, decodeF16, encodeF16, f16ToF32, f32ToF16 } from '../../../engine/io/float16.ts';

const allBits = Uint16Array.from({ length: 65536 }, (_, i) => i);
const isNaN16 = (bits: number): boolean => (bits & 0x7fff) > 0x7c00;

test('all 65,536 f16 patterns decode and encode to themselves', () => {
  const back = f32ToF16(f16ToF32(allBits));
  const broken = allBits.filter((bits) => (isNaN16(bits) ? !isNaN16(back[bits]!) : back[bits] !== bits));
  expect([...broken]).toEqual([]);
});

test('known values', () => {
  const known: [number, number][] = [
    [0, 0],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65519.99, 0x7bff],
    [65520, 0x7c00],
    [Infinity, 0x7c00],
    [2 ** -14, 0x0400],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [2 ** -25 * 1.001, 0x0001],
    [3 * 2 ** -25, 0x0002],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [1e-45, 0],
  ];
  for (const [value, bits] of known) expect([value, encodeF16(value)]).toEqual([value, bits]);
});

test('encoding picks the nearest f16, the even one on a tie', () => {
  const finite = [...allBits].filter((bits) => (bits & 0x7c00) !== 0x7c00 && bits < 0x8000);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: finite.length - 2 }), fc.float({ min: 0, max: 1, noNaN: true }), (i, t) => {
      const [low, high] = [decodeF16(finite[i]!), decodeF16(finite[i + 1]!)];
      const value = Math.fround(low + (high - low) * t);
      const down = value - low;
      const up = high - value;
      const expected = down < up ? i : up < down ? i + 1 : i + (i & 1);
      expect(encodeF16(value)).toBe(expected);
      expect(encodeF16(-value)).toBe(0x8000 | expected);
    }),
    { numRuns: 5000 },
  );
});

test('bf16 is the upper half of an f32', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff }), (bits) => {
      const [value] = bf16ToF32(Uint16Array.of(bits));
      const view = new DataView(new ArrayBuffer(4));
      view.setUint32(0, bits * 65536);
      expect(value).toEqual(view.getFloat32(0));
    }),
  );
});
