/** Room: engine/io. Finds NaN and infinity in raw numbers, mostly without looking at single ones. Pure. */
import { bf16ToF32, f16ToF32 } from './float16.ts';
import type { SafetensorsDType } from './safetensors-header.ts';

/** A number that nothing can be computed with. */
export interface NonFinite {
  readonly index: number;
  readonly value: number;
}

/** Bytes looked at together. */
const BLOCK = 1 << 12;

/** Bits of the one or two numbers in a 32-bit word. */
interface Bits {
  /** Their exponents, all set in NaN and infinity. */
  readonly exponents: number;
  /** The lowest of each exponent: added to one whose bits are all set, it carries into the sign. */
  readonly lowest: number;
  readonly signs: number;
}

const HALF_SIGNS = 0x80008000;
const BITS: Partial<Record<SafetensorsDType, Bits>> = {
  F32: { exponents: 0x7f800000, lowest: 0x00800000, signs: 0x80000000 },
  F16: { exponents: 0x7c007c00, lowest: 0x04000400, signs: HALF_SIGNS },
  BF16: { exponents: 0x7f807f80, lowest: 0x00800080, signs: HALF_SIGNS },
};

/**
 * The first number that is NaN, infinite, or in F64 beyond f32's range; undefined where there is none, and for other dtypes.
 * @param bytes little-endian, whole elements
 */
export function findNonFinite(dtype: SafetensorsDType, bytes: Uint8Array): NonFinite | undefined {
  const bits = BITS[dtype];
  if (!bits && dtype !== 'F64') return undefined;
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
  const words = new Int32Array(buffer, byteOffset, Math.floor(byteLength / 4));
  for (let start = 0; start < byteLength; start += BLOCK) {
    const length = Math.min(BLOCK, byteLength - start);
    if (bits && length === BLOCK && areFinite(words, start / 4, bits)) continue;
    const values = decode(dtype, buffer, byteOffset + start, length);
    const index = values.findIndex((value) => !Number.isFinite(value));
    if (index >= 0) return { index: (start * values.length) / length + index, value: values[index]! };
  }
  return undefined;
}

/** Whether a block's numbers all are: below 2, as nearly all weights, their highest exponent bit is 0, which is sooner seen. */
function areFinite(words: Int32Array, first: number, { exponents, lowest, signs }: Bits): boolean {
  let [a, b] = [0, 0];
  for (let i = first; i < first + BLOCK / 4; i += 8) {
    a |= words[i]! | words[i + 1]! | words[i + 2]! | words[i + 3]!;
    b |= words[i + 4]! | words[i + 5]! | words[i + 6]! | words[i + 7]!;
  }
  if (((a | b) & (signs >>> 1)) === 0) return true;
  let carried = 0;
  for (let i = first; i < first + BLOCK / 4; i++) carried |= (words[i]! & exponents) + lowest;
  return (carried & signs) === 0;
}

function decode(dtype: SafetensorsDType, buffer: ArrayBufferLike, start: number, bytes: number): Float32Array {
  if (dtype === 'F64') return Float32Array.from(new Float64Array(buffer, start, bytes / 8));
  if (dtype === 'F32') return new Float32Array(buffer, start, bytes / 4);
  return (dtype === 'F16' ? f16ToF32 : bf16ToF32)(new Uint16Array(buffer, start, bytes / 2));
}
