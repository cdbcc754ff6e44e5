/**
 * Protects: the decision what to prune (docs/method.md §4). Counts are exact, nothing better is dropped for something worse,
 * ties and orders cannot change a plan, and random pruning drops as much.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { option, UserError } from '../../engine/errors.ts';
import {
  decide,
  decideOptionsSchema,
  keepHighest,
  maskScores,
  randomScores,
  type Decision,
  type ImportanceScores,
} from '../../pruning/decide.ts';
import { meanRanks } from '../../pruning/mean-ranks.ts';
import { UNIT_SCORES } from '../../pruning/unit-scores.ts';

const DEFAULTS = decideOptionsSchema.parse({});

const scope = fc.constantFrom('layerwise' as const, 'global' as const);
const ratio = fc.double({ min: 0, max: 0.999, noNaN: true });
/** Few distinct values, so that ties are common. */
const rows = fc.array(fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 6 }), {
  minLength: 1,
  maxLength: 4,
});

const droppedOf = (scores: readonly (readonly number[])[], kept: number[][]): [number, number][] =>
  scores.flatMap((row, r) => row.map((_, i): [number, number] => [r, i]).filter(([, i]) => !kept[r]!.includes(i)));

/** Rounds half up, in exact integers where the ratio is a fraction. */
const rounded = (part: number, n: number): number => Math.floor(part * n + 0.5);

describe('keepHighest', () => {
  test('known cases', () => {
    const scores = [
      [5, 1, 3],
      [2, 4, 6],
    ];
    expect(keepHighest(scores, 1 / 3, 'layerwise')).toEqual([[0, 2], [1, 2]]); // prettier-ignore
    expect(keepHighest(scores, 0.5, 'global')).toEqual([[0], [1, 2]]);
    expect(keepHighest(scores, 0, 'global')).toEqual([[0, 1, 2], [0, 1, 2]]); // prettier-ignore
    // Row 0 would be emptied: it keeps its best, and 10 goes in its place.
    expect(keepHighest([[1, 2], [10, 20, 30]], 0.4, 'global')).toEqual([[1], [1, 2]]); // prettier-ignore
    expect(keepHighest([[1, 2], [10, 20, 30]], 0.4, 'global', { allowEmpty: true })).toEqual([[], [0, 1, 2]]); // prettier-ignore
    expect(keepHighest([[7]], 0.9, 'layerwise')).toEqual([[0]]);
  });

  test('ties go by layer, then index', () => {
    const scores = [[1, 1, 1], [1, 1, 1]]; // prettier-ignore
    expect(keepHighest(scores, 1 / 3, 'global')).toEqual([[2], [0, 1, 2]]);
    expect(keepHighest(scores, 0.5, 'global')).toEqual([[2], [1, 2]]);
    expect(keepHighest(scores, 1 / 3, 'layerwise')).toEqual([[1, 2], [1, 2]]); // prettier-ignore
  });

  test('a third of 16 heads is 5, of all 24 layers together 128', () => {
    const scores = Array.from({ length: 24 }, (_, l) =>
      Array.from({ length: 16 }, (_, h) => ((l * 16 + h) * 7919) % 384),
    );
    const layerwise = keepHighest(scores, 1 / 3, 'layerwise');
    expect(layerwise.map((row) => row.length)).toEqual(new Array(24).fill(11));
    expect(keepHighest(scores, 1 / 3, 'global').flat()).toHaveLength(384 - 128);
  });

  test.each([-0.1, 1, 1.5, NaN])('a ratio of %d is refused', (value) => {
    expect(() => keepHighest([[1, 2]], value, 'global')).toThrow(RangeError);
  });

  test('exactly round(ratio·n) of each group go, as far as layers may be emptied', () => {
    fc.assert(
      fc.property(rows, ratio, scope, fc.boolean(), (scores, part, by, allowEmpty) => {
        const kept = keepHighest(scores, part, by, { allowEmpty });
        const groups = by === 'global' ? [scores.map((_, r) => r)] : scores.map((_, r) => [r]);
        for (const group of groups) {
          const total = group.reduce((sum, r) => sum + scores[r]!.length, 0);
          const most = allowEmpty ? total : total - group.length;
          const left = group.reduce((sum, r) => sum + kept[r]!.length, 0);
          expect(total - left).toBe(Math.min(rounded(part, total), most));
        }
        if (!allowEmpty) expect(kept.every((row) => row.length > 0)).toBe(true);
        for (const row of kept) expect(row).toEqual([...new Set(row)].sort((a, b) => a - b));
      }),
      { numRuns: 500 },
    );
  });

  test('what goes has the least total score of all choices allowed (brute force)', () => {
    const few = fc.array(fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(few, ratio, fc.boolean(), (scores, part, allowEmpty) => {
        const kept = keepHighest(scores, part, 'global', { allowEmpty });
        const entries = scores.flatMap((row, r) => row.map((score) => ({ r, score })));
        const dropped = droppedOf(scores, kept);
        const total = dropped.reduce((sum, [r, i]) => sum + scores[r]![i]!, 0);
        let least = Infinity;
        for (let set = 0; set < 1 << entries.length; set++) {
          const chosen = entries.filter((_, i) => set & (1 << i));
          const emptied = scores.some((row, r) => chosen.filter((e) => e.r === r).length === row.length);
          if (chosen.length !== dropped.length || (emptied && !allowEmpty)) continue;
          least = Math.min(
            least,
            chosen.reduce((sum, e) => sum + e.score, 0),
          );
        }
        expect(total).toBe(least);
      }),
      { numRuns: 200 },
    );
  });

  test('with distinct scores the order of rows and entries does not matter', () => {
    const distinct = fc.uniqueArray(fc.integer({ min: 0, max: 999 }), { minLength: 6, maxLength: 18 });
    fc.assert(
      fc.property(distinct, ratio, scope, fc.integer({ min: 2, max: 4 }), (values, part, by, width) => {
        const scores: number[][] = [];
        for (let i = 0; i < values.length; i += width) scores.push(values.slice(i, i + width));
        const keptValues = (s: number[][]): number[] =>
          keepHighest(s, part, by)
            .flatMap((row, r) => row.map((i) => s[r]![i]!))
            .sort((a, b) => a - b);
        const permuted = scores.map((row) => [...row].reverse()).reverse();
        expect(keptValues(permuted)).toEqual(keptValues(scores));
        const stretched = scores.map((row) => row.map((x) => x ** 3 + 5));
        expect(keepHighest(stretched, part, by)).toEqual(keepHighest(scores, part, by));
      }),
    );
  });

  test('a larger ratio keeps a part of what a smaller one keeps', () => {
    fc.assert(
      fc.property(rows, ratio, ratio, scope, (scores, a, b, by) => {
        const [less, more] = [keepHighest(scores, Math.min(a, b), by), keepHighest(scores, Math.max(a, b), by)];
        more.forEach((row, r) => row.forEach((i) => expect(less[r]).toContain(i)));
      }),
    );
  });
});

test('a mask scores by magnitude, or by value', () => {
  expect(maskScores([[-2, 1]], 'abs')).toEqual([[2, 1]]);
  expect(maskScores([[-2, 1]], 'signed')).toEqual([[-2, 1]]);
});

describe('decide', () => {
  const scores: ImportanceScores = {
    heads: [[0.9, -1.2, 1.0], [0.5, 0.6, 0.7]], // prettier-ignore
    neurons: [[1, 2, 3, 4], [5, 6, 7, 8]], // prettier-ignore
    modules: { 'l.0.query': 0.1, 'l.0.value': 0.4, 'l.1.query': 0.3, 'l.1.value': 0.2 },
    ranks: { 'l.0.query': [9, 9], 'l.0.value': [3, 4], 'l.1.query': [1, 2], 'l.1.value': [9, 9] },
  };
  const options = { ...DEFAULTS, neurons: 0.5, modules: 0.5, ranks: 0.5 };
  const keptOf = (decision: Decision): Record<string, readonly number[]> =>
    Object.fromEntries(Object.entries(decision.modules).map(([name, { kept }]) => [name, kept]));

  test('heads by layer, neurons, modules and ranks over the model; a module without ranks is gone', () => {
    const { layers, modules, origin } = decide({ ...scores, steps: 8, seed: 3 }, options);
    expect(layers).toEqual([
      { heads: [1, 2], neurons: [3] },
      { heads: [1, 2], neurons: [1, 2, 3] },
    ]);
    expect(modules).toEqual({ 'l.0.value': { ranks: 2, kept: [0, 1] } });
    expect(origin).toEqual({
      method: 'light-peft',
      seed: 3,
      steps: 8,
      heads_ratio: 1 / 3,
      heads_scope: 'layerwise',
      head_unit: 'query',
      ffn_ratio: 0.5,
      ffn_scope: 'global',
      mask_score: 'abs',
      module_ratio: 0.5,
      rank_ratio: 0.5,
      rank_scope: 'global',
    });
  });

  test('grouped queries go one by one, or with their key/value head', () => {
    const shared = { ...scores, heads: [[0.1, 0.9, 0.5, 0.6]], neurons: [[1]], headsPerGroup: 2 };
    const heads = (headUnit: 'query' | 'group'): unknown =>
      decide(shared, { ...options, neurons: 0, heads: 0.5, headUnit }).layers[0]!.heads;
    expect(heads('query')).toEqual([1, 3]);
    expect(heads('group')).toEqual([2, 3]);
  });

  test('signed masks, ranks by module, and nothing asked for', () => {
    expect(decide(scores, { ...options, maskScore: 'signed' }).layers[0]!.heads).toEqual([0, 2]);
    expect(keptOf(decide(scores, { ...options, ranksScope: 'layerwise' }))).toEqual({
      'l.0.value': [1],
      'l.1.query': [1],
    });
    const nothing = { heads: 0, neurons: 0, modules: 0, ranks: 0 };
    const all = decide(scores, { ...options, ...nothing });
    expect(all.layers).toEqual(new Array(2).fill({ heads: [0, 1, 2], neurons: [0, 1, 2, 3] }));
    expect(Object.keys(all.modules)).toEqual(Object.keys(scores.modules));
  });

  describe('by another importance', () => {
    const table = fc.record({
      heads: fc.array(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 4, maxLength: 4 }), {
        minLength: 2,
        maxLength: 2,
      }),
      neurons: fc.array(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 5, maxLength: 5 }), {
        minLength: 2,
        maxLength: 2,
      }),
    });
    const score = fc.constantFrom(...UNIT_SCORES);
    const rest = { modules: scores.modules, ranks: scores.ranks };
    const group = fc.constantFrom('query' as const, 'group' as const);

    test('heads and neurons are those that masks of these values would keep, the rest is as ever', () => {
      fc.assert(
        fc.property(table, table, score, group, ratio, (masks, other, importance, headUnit, part) => {
          const ask = { ...options, heads: part, neurons: part, headUnit, foldMasks: true };
          const sizes = { headsPerGroup: 2, ...rest };
          const found = decide({ ...masks, units: { [importance]: other }, ...sizes }, { ...ask, importance });
          const expected = decide({ ...other, masks, ...sizes }, ask);
          expect(found.layers).toEqual(expected.layers);
          expect(found.modules).toEqual(expected.modules);
          expect(found.origin).toEqual({ ...expected.origin, importance });
        }),
      );
    });

    test('masks decide unless it is asked for, to the same plan; signed is for them alone', () => {
      fc.assert(
        fc.property(table, table, score, (masks, other, importance) => {
          const units = { [importance]: other };
          const plain = decide({ ...masks, ...rest }, options);
          expect(decide({ ...masks, units, ...rest }, { ...options, importance: 'mask' })).toEqual(plain);
          expect(plain.origin).not.toHaveProperty('importance');
          const signed = decide({ ...masks, units, ...rest }, { ...options, importance, maskScore: 'signed' });
          expect(signed.layers).toEqual(decide({ ...masks, units, ...rest }, { ...options, importance }).layers);
        }),
      );
    });

    test('several scores rank by the mean of their ranks, whatever their sizes', () => {
      const row = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 6, maxLength: 6 });
      const rows = fc.array(row, { minLength: 2, maxLength: 2 });
      fc.assert(
        fc.property(rows, rows, fc.constantFrom('layerwise', 'global'), (one, other, scope) => {
          const found = meanRanks([one, other], scope);
          // Scaled by 2, which changes no order, and in the other order of scores.
          expect(meanRanks([other, one.map((values) => values.map((value) => 2 * value))], scope)).toEqual(found);
          const group = (table: readonly (readonly number[])[], r: number): readonly number[] =>
            scope === 'global' ? table.flat() : table[r]!;
          found.forEach((values, r) =>
            values.forEach((value, i) => {
              const share = (table: readonly (readonly number[])[]): number => {
                const all = group(table, r);
                const below = all.filter((x) => x < table[r]![i]!).length;
                const equal = all.filter((x) => x === table[r]![i]!).length;
                return (below + (equal - 1) / 2) / (all.length - 1);
              };
              expect(value).toBeCloseTo((share(one) + share(other)) / 2, 12);
            }),
          );
        }),
      );
    });

    test('a combination of scores decides as the mean ranks do, and stands in the plan', () => {
      fc.assert(
        fc.property(table, table, table, ratio, (masks, taylor, fisher, part) => {
          const ask = { ...options, heads: part, neurons: part };
          const importance = 'taylor+fisher';
          const found = decide({ ...masks, units: { taylor, fisher }, ...rest }, { ...ask, importance });
          const heads = meanRanks([taylor.heads, fisher.heads], ask.headsScope);
          const neurons = meanRanks([taylor.neurons, fisher.neurons], ask.neuronsScope);
          expect(found.layers).toEqual(decide({ heads, neurons, ...rest }, ask).layers);
          expect(found.origin.importance).toBe(importance);
        }),
      );
    });

    test.each(['taylr', 'taylor+', 'taylor+taylor', ''])('"%s" is no importance', (importance) => {
      expect(() => decide(scores, { ...options, importance } as object)).toThrow(
        `${option('importance')}: found "${importance}", expected mask, taylor, fisher, magnitude, activation, or several of them joined by +`,
      );
    });

    test.each(UNIT_SCORES)('%s that was not recorded is refused, and the error says what to do', (importance) => {
      const units = { [UNIT_SCORES.find((name) => name !== importance)!]: { heads: [], neurons: [] } };
      for (const found of [scores, { ...scores, units }]) {
        const ask = (): unknown => decide(found, { ...options, importance });
        expect(ask).toThrow(UserError);
        expect(ask).toThrow(
          `${option('importance')}: found ${importance}, which the estimation did not record, as those of earlier versions do not: estimate anew, or use mask`,
        );
      }
    });

    test('random pruning is the same whatever is asked for', () => {
      const units = { fisher: { heads: scores.heads, neurons: scores.neurons } };
      const plain = decide(randomScores(scores, 1), options, 'random');
      for (const importance of UNIT_SCORES)
        expect(decide(randomScores({ ...scores, units }, 1), { ...options, importance }, 'random')).toEqual(plain);
    });
  });

  test('random pruning drops as much, elsewhere, and the same again from the same seed', () => {
    const wide: ImportanceScores = {
      heads: Array.from({ length: 4 }, () => Array.from({ length: 8 }, (_, i) => i)),
      neurons: Array.from({ length: 4 }, () => Array.from({ length: 40 }, (_, i) => i)),
      modules: Object.fromEntries(Array.from({ length: 24 }, (_, i) => [`m${i}`, i])),
      ranks: Object.fromEntries(Array.from({ length: 24 }, (_, i) => [`m${i}`, [1, 2, 3, 4, 5, 6, 7, 8]])),
    };
    const random = (seed = 1): Decision => decide(randomScores(wide, seed), DEFAULTS, 'random');
    const counts = ({ layers, modules }: Decision): number[] => [
      ...layers.map((l) => l.heads.length),
      layers.reduce((sum, l) => sum + l.neurons.length, 0),
      Object.values(modules).flatMap(({ kept }) => kept).length,
    ];
    expect(random()).toEqual(random());
    expect(counts(random())).toEqual(counts(decide(wide, DEFAULTS)));
    expect(random().layers).not.toEqual(decide(wide, DEFAULTS).layers);
    expect(random(2).layers).not.toEqual(random().layers);
  });
});
