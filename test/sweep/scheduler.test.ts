/** Protects: which trials a scheduler stops, and that the log of results makes its decisions again. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createScheduler, type RungResult } from '../../sweep/scheduler.ts';
import type { SchedulerOptions } from '../../report/sweep/schema.ts';

const asha = { name: 'asha', minSteps: 10, reductionFactor: 3 } as const;
const medianRule = { name: 'median', every: 5, minTrials: 2 } as const;

const results = fc
  .array(fc.tuple(fc.nat(2), fc.float({ noNaN: true, min: -1, max: 1 })), { maxLength: 60 })
  .map((all) => all.map(([rung, value], i): RungResult => ({ trial: `t${i}`, rung, value })));

describe('asynchronous successive halving', () => {
  it('has rungs at powers of its factor', () => {
    const scheduler = createScheduler(asha, 'maximize');
    expect([0, 1, 2, 3].map((rung) => scheduler.stepAt(rung))).toEqual([10, 30, 90, 270]);
  });

  it('lets go on the best third of those that have come', () => {
    const scheduler = createScheduler(asha, 'maximize');
    const report = (trial: string, value: number): string[] => scheduler.report({ trial, rung: 0, value });
    expect(report('a', 0.1)).toEqual([]);
    expect(report('b', 0.9)).toEqual([]);
    expect(report('c', 0.5)).toEqual(['b']);
    expect(report('d', 0.2)).toEqual([]);
    expect(report('e', 0.3)).toEqual([]);
    // The second place of six is the one that waited.
    expect(report('f', 0.4)).toEqual(['c']);
    expect(report('g', 1)).toEqual(['g']);
  });

  it('takes small values for good where it minimises, and what is no number for bad', () => {
    const scheduler = createScheduler(asha, 'minimize');
    scheduler.report({ trial: 'a', rung: 0, value: NaN });
    scheduler.report({ trial: 'b', rung: 0, value: 2 });
    expect(scheduler.report({ trial: 'c', rung: 0, value: 1 })).toEqual(['c']);
  });

  it('lets nobody go on twice, and never more than the best of a rung', () => {
    fc.assert(
      fc.property(results, (all) => {
        const scheduler = createScheduler(asha, 'maximize');
        const promoted = all.flatMap((result) => scheduler.report(result));
        expect(new Set(promoted).size).toBe(promoted.length);
        for (const rung of [0, 1, 2]) {
          const own = all.filter((result) => result.rung === rung);
          const gone = own.filter(({ trial }) => promoted.includes(trial));
          const best = [...own].sort((a, b) => b.value - a.value).slice(0, Math.floor(own.length / 3));
          for (const { value } of best) expect(gone.some((one) => one.value >= value)).toBe(true);
          expect(gone.length).toBeGreaterThanOrEqual(best.length);
        }
      }),
    );
  });

  it('brings one trial to the end where too few have come', () => {
    const scheduler = createScheduler(asha, 'maximize');
    scheduler.report({ trial: 'a', rung: 0, value: 0.1 });
    scheduler.report({ trial: 'b', rung: 0, value: 0.2 });
    expect(scheduler.revive()).toMatchObject({ trial: 'b', rung: 0 });
    scheduler.report({ trial: 'b', rung: 1, value: 0.3 });
    expect(scheduler.revive()).toMatchObject({ trial: 'b', rung: 1 });
  });
});

describe('median stopping', () => {
  it('has a rung every few steps', () => {
    const scheduler = createScheduler(medianRule, 'maximize');
    expect([0, 1, 2].map((rung) => scheduler.stepAt(rung))).toEqual([5, 10, 15]);
  });

  it('stops a trial whose best is below the median of the others’ running means', () => {
    const scheduler = createScheduler(medianRule, 'maximize');
    const report = (trial: string, rung: number, value: number): string[] => scheduler.report({ trial, rung, value });
    for (const trial of ['a', 'b', 'c']) {
      expect(report(trial, 0, 0.5)).toEqual([trial]);
      expect(report(trial, 1, 0.7)).toEqual([trial]);
    }
    expect(report('d', 0, 0.4)).toEqual([]);
    expect(report('e', 0, 0.55)).toEqual(['e']);
    // The running means at the second rung are 0.6: the best so far, not the last value, must be as good.
    expect(report('e', 1, 0.1)).toEqual([]);
    expect(report('f', 0, 0.65)).toEqual(['f']);
    expect(report('f', 1, 0.1)).toEqual(['f']);
  });

  it('waits until enough others have come', () => {
    const scheduler = createScheduler(medianRule, 'maximize');
    expect(scheduler.report({ trial: 'a', rung: 0, value: 1 })).toEqual(['a']);
    expect(scheduler.report({ trial: 'b', rung: 0, value: 0 })).toEqual(['b']);
  });
});

it.each([asha, medianRule] satisfies SchedulerOptions[])('decides the same from the same results: $name', (options) => {
  fc.assert(
    fc.property(results, (all) => {
      const decide = (): string[][] => {
        const scheduler = createScheduler(options, 'maximize');
        return all.map((result) => scheduler.report(result));
      };
      expect(decide()).toEqual(decide());
    }),
  );
});
