/**
 * Room: engine/io. Conversions between f32 and the 16-bit storage formats, IEEE binary16 and bfloat16. Pure.
 * A 16-bit value is held as its bits, in a number or a `Uint16Array`.
 */

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** The bits of the binary16 value nearest to `value` (ties to even). Overflow gives ±Inf, NaN stays a quiet NaN. */
export function encodeF16(value: number): number {
  float[0] = value;
  const bits = word[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520 is half-way between the largest finite value, 65504, and the next power of two: it rounds to even, that is to Inf.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) return sign | encodeSubnormal(magnitude);
  const rebiased = magnitude - 0x38000000;
  return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
}

/** Rounds |value| < 2⁻¹⁴ to a multiple of 2⁻²⁴; `magnitude` is its f32 pattern without the sign. */
function encodeSubnormal(magnitude: number): number {
  const shift = 126 - (magnitude >>> 23);
  if (shift > 25) return 0;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const half = 1 << (shift - 1);
  const kept = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept;
}

/** The value of binary16 `bits`; exact. */
export function decodeF16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  return sign * (mantissa + 1024) * 2 ** (exponent - 25);
}

let decoded: Float32Array | undefined;

/** Every binary16 value by its bits: 256 KiB, made on first use. */
function decodeTable(): Float32Array {
  return (decoded ??= Float32Array.from({ length: 65536 }, (_, bits) => decodeF16(bits)));
}

/** Converts binary16 to f32, exactly. Writes into `out` where it is given (same length). */
export function f16ToF32(source: Uint16Array, out: Float32Array = new Float32Array(source.length)): Float32Array {
  const table = decodeTable();
  for (let i = 0; i < source.length; i++) out[i] = table[source[i]!]!;
  return out;
}

/** Converts f32 to binary16, rounding to nearest even; out-of-range values become ±Inf. */
export function f32ToF16(source: Float32Array, out: Uint16Array = new Uint16Array(source.length)): Uint16Array {
  for (let i = 0; i < source.length; i++) out[i] = encodeF16(source[i]!);
  return out;
}

/** Converts bfloat16 (the upper half of an f32) to f32, exactly. */
export function bf16ToF32(source: Uint16Array, out: Float32Array = new Float32Array(source.length)): Float32Array {
  const words = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < source.length; i++) words[i] = source[i]! << 16;
  return out;
}
