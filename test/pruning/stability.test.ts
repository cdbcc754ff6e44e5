/** Protects: mask distances are normalised Hamming distances, by part; sets are stable when all of a queue of them lie below the threshold. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide, type ImportanceScores } from '../../pruning/decide.ts';
import { keptSets, largestDistance, maskDistance, Stability, type KeptSets } from '../../pruning/stability.ts';

const SCORES: ImportanceScores = {
  heads: [
    [0.9, 0.1, 0.5],
    [0.2, 0.8, 0.6],
  ],
  neurons: [
    [4, 3],
    [2, 1],
  ],
  modules: { a: 0.3, b: 0.1, c: 0.2, d: 0 },
  ranks: { a: [0.5, 0.1], b: [1, 1], c: [0.2, 0.4], d: [1, 1] },
};

const bits = fc.string({ unit: fc.constantFrom('0', '1'), maxLength: 40 });

describe('kept sets', () => {
  it('mark what a decision keeps of all that there was', () => {
    const decision = decide(SCORES, { heads: 1 / 3, neurons: 0.25, modules: 0.5, ranks: 0.5 });
    expect(keptSets(decision, SCORES)).toEqual({
      heads: '101011',
      neurons: '1110',
      modules: '1010',
      ranks: '10000100',
    });
  });

  it('leave out a module that keeps no rank', () => {
    const ranks = { a: [0.1, 0.2], c: [0.9, 0.8] };
    const scores = { ...SCORES, modules: { a: 2, c: 1 }, ranks };
    const kept = keptSets(decide(scores, { modules: 0, ranks: 0.5 }), scores);
    expect(kept).toMatchObject({ modules: '01', ranks: '0011' });
  });
});

describe('the mask distance', () => {
  it('is the part of places that differ', () => {
    expect(maskDistance('1100', '1010')).toBe(0.5);
    expect(maskDistance('', '')).toBe(0);
    expect(() => maskDistance('1', '11')).toThrow('no distance');
  });

  it('is a metric in [0, 1]', () => {
    fc.assert(
      fc.property(fc.nat(30), bits, bits, bits, (n, ...texts) => {
        const [a, b, c] = texts.map((text) => text.padEnd(40, '0').slice(0, n)) as [string, string, string];
        expect(maskDistance(a, a)).toBe(0);
        expect(maskDistance(a, b)).toBe(maskDistance(b, a));
        expect(maskDistance(a, b) > 0).toBe(a !== b);
        expect(maskDistance(a, b)).toBeLessThanOrEqual(1);
        expect(maskDistance(a, c)).toBeLessThanOrEqual(maskDistance(a, b) + maskDistance(b, c) + 1e-12);
      }),
    );
  });
});

describe('stability', () => {
  const same = '1'.repeat(10);
  const sets = (ranks: string): KeptSets => ({ heads: same, neurons: same, modules: same, ranks });
  /** Ranks of ten of which so many are not kept. */
  const without = (n: number): KeptSets => sets('0'.repeat(n).padEnd(10, '1'));

  it('needs a whole queue of distances below the threshold, in every part', () => {
    const stability = new Stability(0.2, 2);
    const reached = [0, 3, 3, 4, 2, 1, 1].map((n, window) => {
      stability.add(8 * (window + 1), without(n));
      return stability.isReached;
    });
    // Distances: 0.3, 0, 0.1, 0.2, 0.1, 0.
    expect(reached).toEqual([false, false, false, true, false, false, true]);
    expect(stability.distances.map((d) => d.step)).toEqual([16, 24, 32, 40, 48, 56]);
    expect(stability.distances[0]).toEqual({ step: 16, heads: 0, neurons: 0, modules: 0, ranks: 0.3 });
    expect(largestDistance(stability.distances[0]!)).toEqual({ part: 'ranks', distance: 0.3 });
  });

  it('goes on from its state', () => {
    const whole = new Stability(0.2, 2);
    const first = new Stability(0.2, 2);
    for (const n of [0, 1]) for (const to of [whole, first]) to.add(n + 1, without(n));
    const second = new Stability(0.2, 2);
    second.state = JSON.parse(JSON.stringify(first.state)) as typeof first.state;
    for (const to of [whole, second]) to.add(3, without(2));
    expect(second.isReached).toBe(true);
    expect(second.state).toEqual(whole.state);
  });
});
