/** Protects: means, deviations and ratios equal what one computes by hand. */
import { describe, expect, it } from 'vitest';
import { summarise } from '../../report/aggregate.ts';
import type { Comparison, Run } from '../../report/schema.ts';
import { sampleComparison } from './sample.ts';

/** Two methods, their figures set by hand; three seeds for LoRA, given out of order. */
function small(): Comparison {
  const sample = sampleComparison();
  const run = (method: string, seed: number, accuracy: number, tokens: number, peak: number): Run => {
    const base = sample.runs.find((r) => r.method === method)!;
    return {
      ...base,
      seed,
      metrics: { accuracy, f1: accuracy, loss: 0.5 },
      speed: { ...base.speed, trainTokensPerSecond: tokens },
      memory: { ...base.memory, trainPeakBytes: peak, byKind: { weights: peak - 10, activations: 10 } },
    };
  };
  const runs = [
    run('lora', 3, 0.9, 1000, 200),
    run('light-peft', 1, 0.86, 1500, 150),
    run('lora', 1, 0.8, 1100, 200),
    run('lora', 2, 0.85, 900, 200),
  ];
  return { ...sample, runs };
}

describe('summarise', () => {
  it('gives mean and sample deviation over seeds, none for one seed', () => {
    const [summary] = summarise(small());
    const [lora, light] = summary!.methods;
    expect(lora!.accuracy!.mean).toBeCloseTo(0.85, 12);
    expect(lora!.accuracy!.deviation).toBeCloseTo(0.05, 12);
    expect(lora!.runs.map((r) => r.seed)).toEqual([1, 2, 3]);
    expect(light!.accuracy!.deviation).toBeUndefined();
    expect(summary!.seeds).toBe(3);
  });

  it('relates means to the reference, which has no ratio to itself', () => {
    const [summary] = summarise(small());
    expect(summary!.reference?.relative).toBeUndefined();
    const relative = summary!.subject!.relative!;
    expect(relative.accuracy).toBeCloseTo(0.01, 12);
    expect(relative.trainSpeed).toBeCloseTo(1.5, 12);
    expect(relative.trainPeak).toBeCloseTo(0.75, 12);
    expect(summary!.subject!.byKind).toEqual(
      new Map([
        ['weights', 140],
        ['activations', 10],
      ]),
    );
  });

  it('charges a teacher’s passes, and never breaks even where the reference had to be trained as the teacher', () => {
    const sample = small();
    for (const run of sample.runs) run.curves = [{ phase: 'train', step: [299], loss: [1] }];
    const light = sample.runs.find(({ method }) => method === 'light-peft')!;
    const relativeOf = (more: Partial<Run['speed']>): readonly [total: number, breakEven: number | undefined] => {
      const runs = sample.runs.map((run) => (run === light ? { ...run, speed: { ...run.speed, ...more } } : run));
      const { seconds, relative } = summarise({ ...sample, runs })[0]!.subject!;
      return [seconds.total, relative!.breakEven];
    };
    const times = { estimateSeconds: 0, pruneSeconds: 0, trainSeconds: 10 };
    expect(relativeOf(times)).toEqual([10, undefined]);
    const [total, steps] = relativeOf({ ...times, distillSeconds: 4 });
    expect(total).toBe(14);
    expect(steps).toBeLessThan(Infinity);
    expect(relativeOf({ ...times, distillSeconds: 4, teacherSeconds: 12 })).toEqual([26, Infinity]);
  });

  it('keeps methods in order of appearance and leaves out tasks without runs', () => {
    const summaries = summarise(small());
    expect(summaries.map((s) => s.task.name)).toEqual(['sentiment']);
    expect(summaries[0]!.methods.map((m) => m.method)).toEqual(['lora', 'light-peft']);
    expect(summarise(sampleComparison()).map((s) => s.methods.length)).toEqual([6, 6]);
  });

  it('has no ratios where the reference was not run', () => {
    const comparison = small();
    comparison.runs = comparison.runs.filter((r) => r.method !== 'lora');
    const [summary] = summarise(comparison);
    expect(summary!.reference).toBeUndefined();
    expect(summary!.methods.every((m) => m.relative === undefined)).toBe(true);
  });

  it('does not reorder the runs it is given', () => {
    const comparison = small();
    const before = comparison.runs.map((r) => r.seed);
    summarise(comparison);
    expect(comparison.runs.map((r) => r.seed)).toEqual(before);
  });
});
