/** Protects: which trials a file of axes stands for. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expand } from '../../sweep/expand.ts';
import { specSchema, type SweepSpec } from '../../sweep/spec.ts';

const spec = (given: object): SweepSpec => specSchema.parse(given);
const trains = (given: object): object[] => expand(spec({ command: 'train', ...given }));

describe('axes', () => {
  it('multiplies the points of a grid, the last axis fastest', () => {
    expect(trains({ base: { a: 0 }, grid: { lr: [1, 2], r: [3, 4] } })).toEqual([
      { a: 0, lr: 1, r: 3 },
      { a: 0, lr: 1, r: 4 },
      { a: 0, lr: 2, r: 3 },
      { a: 0, lr: 2, r: 4 },
    ]);
  });

  it('walks along zipped lists together', () => {
    expect(trains({ zip: { lr: [1, 2], steps: [10, 20] } })).toEqual([
      { lr: 1, steps: 10 },
      { lr: 2, steps: 20 },
    ]);
  });

  it('takes every configuration of a list over the base', () => {
    expect(trains({ base: { lr: 0, r: 8 }, list: [{ lr: 1 }, { r: 2 }] })).toEqual([
      { lr: 1, r: 8 },
      { lr: 0, r: 2 },
    ]);
  });

  it('multiplies all of them, and has as many trials as the product of their sizes', () => {
    const size = fc.integer({ min: 1, max: 4 });
    fc.assert(
      fc.property(size, size, size, size, size, (grid, zip, list, samples, seeds) => {
        const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
        const found = trains({
          grid: { a: numbers(grid) },
          zip: { b: numbers(zip), c: numbers(zip) },
          list: numbers(list).map((d) => ({ d })),
          random: { samples, options: { e: { uniform: [0, 1] } } },
          seeds: numbers(seeds),
        });
        expect(found).toHaveLength(grid * zip * list * samples * seeds);
        expect(new Set(found.map((config) => JSON.stringify(config))).size).toBe(found.length);
      }),
    );
  });
});

describe('random values', () => {
  it('lie within their bounds, and are the same for a seed', () => {
    const options = {
      u: { uniform: [-2, 3] },
      l: { 'log-uniform': [1e-5, 1e-2] },
      i: { integers: [2, 5] },
      c: { choice: ['x', 'y'] },
    };
    const draw = (seed: number): Record<string, number>[] =>
      trains({ random: { samples: 200, seed, options } }) as Record<string, number>[];
    for (const { u, l, i } of draw(1)) {
      expect(u).toBeGreaterThanOrEqual(-2);
      expect(u).toBeLessThanOrEqual(3);
      expect(l).toBeGreaterThanOrEqual(1e-5);
      expect(l).toBeLessThanOrEqual(1e-2);
      expect([2, 3, 4, 5]).toContain(i);
    }
    expect(new Set(draw(1).map(({ i }) => i)).size).toBe(4);
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it('spread evenly over the digits of a log-uniform range', () => {
    const drawn = trains({ random: { samples: 600, options: { l: { 'log-uniform': [1e-6, 1] } } } }) as { l: number }[];
    const below = drawn.filter(({ l }) => l < 1e-3).length;
    expect(below).toBeGreaterThan(240);
    expect(below).toBeLessThan(360);
  });

  it('are the same for every seed of a configuration', () => {
    const found = trains({ random: { samples: 2, options: { lr: { uniform: [0, 1] } } }, seeds: [0, 1] }) as {
      lr: number;
      seed: number;
    }[];
    expect(found.map(({ seed }) => seed)).toEqual([0, 1, 0, 1]);
    expect(found[0]!.lr).toBe(found[1]!.lr);
    expect(found[1]!.lr).not.toBe(found[2]!.lr);
  });
});

describe('methods and seeds', () => {
  it('are axes of run, however they are written', () => {
    const expected = [
      { methods: 'reference', seed: 0 },
      { methods: 'reference', seed: 1 },
      { methods: 'light-peft', seed: 0 },
      { methods: 'light-peft', seed: 1 },
    ];
    expect(expand(spec({ base: { methods: 'reference,light-peft', seeds: '0,1' } }))).toEqual(expected);
    expect(expand(spec({ base: { methods: ['reference', 'light-peft'] }, seeds: [0, 1] }))).toEqual(expected);
    expect(expand(spec({ grid: { methods: ['reference', 'light-peft'], seed: [0, 1] } }))).toEqual(expected);
  });

  it('are those of run where nothing is said', () => {
    expect(expand(spec({}))).toEqual([{ methods: 'reference' }, { methods: 'light-peft' }, { methods: 'random' }]);
  });
});

describe('conditions', () => {
  it('leave out an option where another has not the value', () => {
    const found = trains({
      grid: { peft: ['lora', 'adapter'], 'lora-r': [4, 8] },
      conditions: { 'lora-r': { peft: 'lora' } },
    });
    expect(found).toEqual([{ peft: 'lora', 'lora-r': 4 }, { peft: 'lora', 'lora-r': 8 }, { peft: 'adapter' }, { peft: 'adapter' }]); // prettier-ignore
  });

  it('exclude configurations; a list of values stands for any of them', () => {
    const found = trains({ grid: { a: [1, 2], b: [1, 2, 3] }, exclude: [{ a: 1, b: [1, 2] }] });
    expect(found).toEqual([{ a: 1, b: 3 }, { a: 2, b: 1 }, { a: 2, b: 2 }, { a: 2, b: 3 }]); // prettier-ignore
  });
});
