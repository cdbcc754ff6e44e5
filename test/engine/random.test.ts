/** Protects: host random numbers are Philox 4x32-10, bit for bit, and streams are reproducible, uniform and distinct. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostRandom, philox, STREAM } from '../../engine/random.ts';

describe('philox', () => {
  // Known answers of Random123's kat_vectors for philox4x32 10.
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)('counter %j, key %j', (counter, key, expected) => {
    expect([...philox(counter, key)]).toEqual([...expected]);
  });
});

describe('hostRandom', () => {
  it('repeats a stream and tells streams apart', () => {
    const draw = (...name: [number, number, number?, number?]): number[] => {
      const random = hostRandom(...name);
      return Array.from({ length: 6 }, () => random.uint32());
    };
    const names: [number, number, number, number][] = [
      [1, STREAM.shuffle, 0, 0],
      [2, STREAM.shuffle, 0, 0],
      [1 + 2 ** 32, STREAM.shuffle, 0, 0],
      [1, STREAM.mask, 0, 0],
      [1, STREAM.shuffle, 1, 0],
      [1, STREAM.shuffle, 0, 1],
    ];
    const streams = names.map((name) => draw(...name).join());
    expect(new Set(streams).size).toBe(names.length);
    expect(names.map((name) => draw(...name).join())).toEqual(streams);
  });

  it('shuffles to a permutation, each place equally likely', () => {
    const first = new Array<number>(4).fill(0);
    for (let seed = 0; seed < 4000; seed++) {
      const items = hostRandom(seed, STREAM.shuffle).shuffle([0, 1, 2, 3]);
      expect([...items].sort()).toEqual([0, 1, 2, 3]);
      first[items[0]!]!++;
    }
    for (const count of first) expect(Math.abs(count - 1000)).toBeLessThan(120);
  });

  it('draws below n, and uniforms in [0, 1)', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 2 ** 32 }), (seed, n) => {
        const random = hostRandom(seed, 0);
        expect(random.below(n)).toBeLessThan(n);
        const value = random.uniform();
        expect(value >= 0 && value < 1).toBe(true);
      }),
    );
  });
});
