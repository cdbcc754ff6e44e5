/** Protects: figures keep their value and size when they are shortened for people. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytes, change, duration, measure, percent, points, score, short, times, whole } from '../../report/numbers.ts';

describe('numbers', () => {
  it('have units and three digits', () => {
    expect([0, 999, 1000, 999_499, 999_500, 80_123_456, 2.5e9].map(bytes)).toEqual([
      '0 B',
      '999 B',
      '1.00 KB',
      '999 KB',
      '1.00 MB',
      '80.1 MB',
      '2.50 GB',
    ]);
    expect([512, 246_018, 7_366_656].map(short)).toEqual(['512', '246K', '7.37M']);
    expect([0.0123, 0.35, 118.2, 7183, 99_949, 123_456].map(measure)).toEqual([
      '0.0123',
      '0.350',
      '118',
      '7,180',
      '99,900',
      '123K',
    ]);
    expect(whole(1_234_567)).toBe('1,234,567');
    expect(score(0.8426)).toBe('84.3');
  });

  it('never round a share to a false 0 or 100', () => {
    expect([0, 0.004, 0.25, 0.587, 0.996, 1].map(percent)).toEqual(['0%', '0.4%', '25%', '59%', '99.6%', '100%']);
    expect([0.0001, 0.99999].map(percent)).toEqual(['<0.1%', '>99.9%']);
  });

  it('sign changes with a true minus, and none where nothing changed', () => {
    expect([0.62, 1.05, 1.001, 0.999].map(change)).toEqual(['−38%', '+5%', '±0%', '±0%']);
    expect([-0.0042, 0.01, 0.0001].map(points)).toEqual(['−0.4 pt', '+1.0 pt', '±0.0 pt']);
    expect([1.449, 12.34].map(times)).toEqual(['1.45×', '12.3×']);
  });

  it('tell time in the unit people would use', () => {
    expect([0.12, 9.44, 48.4, 59.6, 185, 3599.7, 4320].map(duration)).toEqual([
      '0.1 s',
      '9.4 s',
      '48 s',
      '1 min 00 s',
      '3 min 05 s',
      '1 h 00 min',
      '1 h 12 min',
    ]);
  });

  it('stay within half a percent of the value', () => {
    const factors: Record<string, number> = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9e14 }), (value) => {
        const [number, unit] = bytes(value).split(' ') as [string, string];
        const back = Number(number.replaceAll(',', '')) * factors[unit]!;
        expect(Math.abs(back - value)).toBeLessThanOrEqual(value * 0.005 + 1e-9);
        expect(number.length).toBeLessThanOrEqual(4);
      }),
    );
  });
});
