/** Room: report/compare. Where numbers lie along an axis of a picture. */

export interface Scale {
  readonly ticks: readonly number[];
  /** Pixels. */
  readonly at: (value: number) => number;
}

/** Room at both ends, as a part of the values' range. */
const ROOM = 0.08;

/** A linear scale over all values, with about `count` round ticks. @param range pixels of the least and the greatest value */
export function scaleOf(values: readonly number[], [start, end]: readonly [number, number], count: number): Scale {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  const [range, size] = [most - least, Math.max(Math.abs(least), Math.abs(most))];
  // A range within rounding is none; a size below any figure is 0.
  const room = range > Math.max(1e-9 * size, 1e-100) ? range * ROOM : size > 1e-100 ? size * ROOM : 1;
  const [low, high] = [least - room, most + room];
  return {
    ticks: roundTicks(low, high, count),
    at: (value) => start + ((value - low) / (high - low)) * (end - start),
  };
}

/** Multiples of 1, 2 or 5 times a power of ten within [low, high]. */
function roundTicks(low: number, high: number, count: number): number[] {
  const least = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= least) ?? 10);
  const first = Math.ceil(low / step);
  const length = Math.max(0, Math.floor(high / step) - first + 1);
  return Array.from({ length }, (_, i) => (first + i) * step);
}
