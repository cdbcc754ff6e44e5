/** Protects: configurations, fronts, rungs and scales of a sweep's report are what they say; tables fit a terminal. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { axesOf, describeOptions, needsLog, valueText } from '../../../report/sweep/options.ts';
import { paretoFront } from '../../../report/sweep/pareto.ts';
import { rungPaths, rungsOf } from '../../../report/sweep/rungs.ts';
import { DIRECTIONS, type SchedulerDecision, type TrialConfig } from '../../../report/sweep/schema.ts';
import { fullText, headText, styleOf } from '../../../report/sweep/styles.ts';
import { rankedTrials, stride, summariseSweep } from '../../../report/sweep/summary.ts';
import { sweepTable } from '../../../report/sweep/terminal.ts';
import { CPU, GPU, randomSweep, sampleDecisions, sampleFile, sampleSweep, trial } from './sample.ts';

describe('paretoFront', () => {
  const few = fc.integer({ min: 0, max: 9 });
  const points = fc.array(fc.record({ x: few, y: few }), { maxLength: 40 });
  const direction = fc.constantFrom(...DIRECTIONS);

  it('leaves exactly the points that no other beats', () => {
    fc.assert(
      fc.property(points, direction, direction, (all, x, y) => {
        const isAtLeast = (a: number, b: number, by: string) => (by === 'maximize' ? a >= b : a <= b);
        const beats = (a: (typeof all)[number], b: (typeof all)[number]) =>
          isAtLeast(a.x, b.x, x) && isAtLeast(a.y, b.y, y) && (a.x !== b.x || a.y !== b.y);
        const expected = all.filter((point) => !all.some((other) => beats(other, point)));
        const found = paretoFront(all, x, y);
        expect(new Set(found)).toEqual(new Set(expected));
        expect(found).toHaveLength(expected.length);
        expect(found.map((point) => point.x)).toEqual(expected.map((point) => point.x).sort((a, b) => a - b));
      }),
    );
  });
});

describe('summariseSweep', () => {
  it('takes seeds together, and adapters apart', () => {
    const { adapters, counts } = summariseSweep(sampleSweep());
    expect(adapters.map(({ adapter, configurations }) => [adapter, configurations.length])).toEqual([
      ['llvmpipe (software)', 7],
      ['Radeon 780M', 7],
    ]);
    expect(counts).toEqual({ done: 40, failed: 1, stopped: 1, unfinished: 1 });
    for (const { configurations } of adapters)
      for (const { trials } of configurations) expect(new Set(trials.map(({ device }) => device!.host)).size).toBe(1);
  });

  it('knows the order of an option’s keys for nothing, and other options for something', () => {
    const trials = [
      trial('a', { lr: 1, x: 2, seed: 0 }, { metrics: { accuracy: 0.5 } }),
      trial('b', { seed: 1, x: 2, lr: 1 }, { metrics: { accuracy: 0.7 } }),
      trial('c', { lr: 1, x: 3, seed: 0 }, { metrics: { accuracy: 0.9 } }),
      trial('d', { lr: 1, x: 3, seed: 1 }, { metrics: {} }),
    ];
    const { adapters } = summariseSweep({ sweep: sampleFile({ axes: ['lr', 'seed'] }), trials, decisions: [] });
    const [first, second] = adapters[0]!.configurations;
    expect(first!.metric).toEqual({ mean: 0.9, deviation: undefined });
    expect(second!.metric!.mean).toBeCloseTo(0.6, 12);
    expect(second!.metric!.deviation).toBeCloseTo(Math.SQRT1_2 / 5, 12);
  });

  it('counts a failure on another adapter there alone', () => {
    const config = { lr: 1 };
    const done = [CPU, GPU].map((device, i) => trial(`d${i}`, { ...config, seed: 0 }, { device, metrics: { accuracy: 1 } })); // prettier-ignore
    const failed = trial('f', { ...config, seed: 1 }, { state: 'failed', device: GPU, error: 'x' });
    const { adapters } = summariseSweep({ sweep: sampleFile(), trials: [...done, failed], decisions: [] });
    expect(adapters.map(({ configurations }) => configurations[0]!.failed)).toEqual([0, 1]);
  });

  it('puts trials without the metric last', () => {
    const values = [undefined, 0.1, 0.3];
    const trials = values.map((accuracy, i) => trial(`${i}`, { seed: i }, { metrics: accuracy === undefined ? {} : { accuracy } })); // prettier-ignore
    for (const [direction, order] of [['maximize', ['2', '1', '0']], ['minimize', ['1', '2', '0']]] as const) {
      const summary = summariseSweep({ sweep: sampleFile({ direction }), trials, decisions: [] });
      expect(rankedTrials(summary).map(({ id }) => id)).toEqual(order);
    } // prettier-ignore
  });
});

describe('options', () => {
  it('tells numbers from names, and what is not set', () => {
    const configs: TrialConfig[] = [{ a: 3, b: 'x', d: null }, { a: 1, b: 2 }, { a: 1, b: 'x', d: 4 }]; // prettier-ignore
    const [a, b, d] = axesOf(
      ['a', 'seed', 'b', 'd'],
      configs.map((config) => ({ config })),
    );
    expect(a).toMatchObject({ name: 'a', isNumeric: true, values: [1, 3], isSometimesUnset: false });
    expect(b).toMatchObject({ isNumeric: false, values: ['x', 2] });
    expect(d).toMatchObject({ isNumeric: true, values: [4], isSometimesUnset: true });
  });

  it('takes a logarithmic scale for sizes that grow by factors', () => {
    expect(needsLog([1e-5, 1e-4, 1e-3, 1e-2])).toBe(true);
    expect(needsLog([1, 2, 4, 8])).toBe(false);
    expect(needsLog([0, 1e-4, 1])).toBe(false);
    expect(needsLog([0.001, 0.2, 0.4, 0.6, 0.8])).toBe(false);
  });

  it('writes values for people', () => {
    const values = [3e-4, 0.5, -1, 1e21, 'a', true, null, undefined, ['q', 'v'], { a: 1 }];
    expect(values.map((value) => valueText(value))).toEqual(
      ['3e-4', '0.5', '−1', '1e+21', 'a', 'true', '–', '–', 'q, v', '{"a":1}'], // prettier-ignore
    );
    expect(describeOptions({ methods: 'lora', lr: 0.1 }, ['methods', 'no', 'lr'])).toBe('lora, lr 0.1');
  });

  it('samples evenly', () => {
    expect(stride([1, 2, 3], 5)).toEqual([1, 2, 3]);
    expect(stride([0, 1, 2, 3, 4, 5], 3)).toEqual([0, 2, 4]);
  });
});

describe('rungs', () => {
  it('counts what came and what went on', () => {
    const rungs = rungsOf(sampleDecisions(), 'maximize');
    expect(rungs.map(({ step, reached, promoted }) => [step, reached, promoted])).toEqual([[20, 16, 4], [80, 4, 1], [320, 1, 0]]); // prettier-ignore
    expect(rungs[0]!.best).toBeCloseTo(0.75, 12);
    expect(rungs[0]!.median).toBeCloseTo(0.675, 12);
  });

  it('counts promotions that came late, and a figure that is no number', () => {
    const base = { rung: 0, step: 5, metrics: {}, seconds: 1, device: null };
    const decisions: SchedulerDecision[] = [
      { ...base, trial: 'a', value: null, promoted: [] },
      { ...base, trial: 'b', value: 2, promoted: [] },
      { ...base, trial: 'c', value: 1, promoted: ['b'] },
    ];
    expect(rungsOf(decisions, 'minimize')).toEqual([
      { rung: 0, step: 5, reached: 3, promoted: 1, best: 1, median: 1.5 },
    ]);
    const paths = rungPaths({ sweep: sampleFile(), trials: [], decisions });
    expect(paths.map(({ points, isPromoted }) => [points.length, isPromoted])).toEqual([[0, false], [1, true], [1, false]]); // prettier-ignore
    expect(rungsOf(decisions.slice(0, 1), 'minimize')[0]).toMatchObject({ best: undefined, median: undefined });
  });
});

describe('figures', () => {
  it('have names and units', () => {
    const full = (key: string, value: number) => fullText(styleOf(key), value);
    expect(full('accuracy', 0.8434)).toBe('84.3%');
    expect(full('trainTokensPerSecond', 7180)).toBe('7,180 tokens/s');
    expect(full('trainPeakBytes', 12.3e6)).toBe('12.3 MB');
    expect(full('blockShare', 0.58)).toBe('58%');
    expect(full('own', -3)).toBe('−3.00');
    expect(headText(styleOf('f1'))).toBe('F1, %');
    expect(styleOf('eval_loss').direction).toBe('minimize');
    expect(styleOf('constructor').name).toBe('constructor');
  });
});

describe('sweepTable', () => {
  it('has a table for each adapter, within the width', () => {
    const text = sweepTable(sampleSweep(), 80);
    expect(text).toContain('ratios on llvmpipe (software), 7 configurations, best first');
    expect(text).toContain('ratios on Radeon 780M, 7 configurations, best first');
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(sweepTable(randomSweep(60), 120)).toContain('10 of 45 configurations');
  });

  it('moves no cursor, and says where there is nothing', () => {
    const device = { ...CPU, adapter: 'a\u001b[31m' };
    const trials = [trial('a', { methods: 'x\u001b[2J' }, { metrics: { accuracy: 1 }, device })];
    expect(sweepTable({ sweep: sampleFile(), trials, decisions: [] })).not.toMatch(/\u001b/);
    expect(sweepTable({ sweep: sampleFile(), trials: [], decisions: [] })).toBe('No trial is done yet.');
  });
});
