/**
 * Protects: an estimation that ends when its kept sets are stable. It measures what a fixed estimation of as many steps measures, decides by
 * the run's own ratios, goes on from a checkpoint to the same numbers, and says so where it never becomes stable.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Examples } from '../../data/example-store.ts';
import { assertOptionsFit, estimateOptionsOf, numericOptions } from '../../experiments/options.ts';
import { decide, type DecideOptions } from '../../pruning/decide.ts';
import { keptSets, maskDistance } from '../../pruning/stability.ts';
import { UNIT_SCORES } from '../../pruning/unit-scores.ts';
import { estimate, estimateResult, type Estimate } from '../../train/estimate.ts';
import { InterruptedError } from '../../train/loop.ts';
import type { EstimateOptions } from '../../train/options.ts';
import { endsStretch, firstCounted } from '../../train/stable-end.ts';
import { stableOptions } from '../../train/stable-options.ts';
import { openTestEngine } from '../engine.ts';
import { tinyExamples, tinyModel, tinyOptions, withoutTensors } from './tiny.ts';
import { heardWarnings } from '../warnings.ts';

const engine = await openTestEngine();
let dir: string;
let examples: Examples;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  examples = await tinyExamples();
});
const warnings = heardWarnings();
afterAll(() => rm(dir, { recursive: true }));

const RATIOS = { heads: 0.5, neurons: 0.3, modules: 0.5, ranks: 0.4 };
/** Without a schedule, so that fixed estimations of any length take the same steps. */
const STEPS = { schedule: 'constant', batchSize: 4, lr: 3e-3, decide: RATIOS } satisfies EstimateOptions;
const STABLE = { ...STEPS, estimateUntil: 'stable' } as const;

async function estimated(options: EstimateOptions): Promise<Estimate> {
  using model = await tinyModel(engine, tinyOptions({ peft: { dropout: 0.1 } }));
  return await estimate(model, examples, options);
}

function fixed(steps: number): Promise<Estimate> {
  return estimated({ ...STEPS, steps });
}

/** But for the order in which f32 numbers were added up. */
function expectClose(found: readonly number[], expected: readonly number[]): void {
  expect(found).toHaveLength(expected.length);
  found.forEach((value, i) => expect(Math.abs(value / expected[i]! - 1)).toBeLessThan(1e-6));
}

function expectSame(found: Estimate, expected: Estimate): void {
  const { heads, neurons, countedSteps, steps, result } = expected;
  expect(found).toMatchObject({ heads, neurons, countedSteps, steps, nonFinite: 0 });
  expect(found.result.loss).toEqual(result.loss);
  for (const [name, importance] of Object.entries(expected.modules)) {
    expectClose([found.modules[name]!], [importance]);
    expectClose(found.ranks[name]!, expected.ranks[name]!);
  }
  expect(Object.keys(found.units!)).toEqual([...UNIT_SCORES]);
  for (const score of UNIT_SCORES)
    for (const part of ['heads', 'neurons'] as const)
      expectClose(found.units![score]![part].flat(), expected.units![score]![part].flat());
}

describe('an estimation until kept sets are stable', () => {
  it('ends at a window and has measured what a fixed one of as many steps measures', async () => {
    const found = await estimated({
      ...STABLE,
      steps: 40,
      estimateWindow: 3,
      estimateThreshold: 0.4,
      estimateQueue: 2,
    });
    const { steps, stable } = found;
    expect(stable?.isReached).toBe(true);
    expect(steps % 3).toBe(0);
    expect(steps).toBeLessThan(40);
    expect(found.result.steps).toBe(steps);
    expect(found.countedSteps).toBe(steps - Math.floor(steps / 2));
    expectSame(found, await fixed(steps));
    expect(warnings).toEqual([]);
  });

  it('measures distances between the sets that fixed estimations of its windows would keep', async () => {
    const found = await estimated({
      ...STABLE,
      steps: 12,
      estimateWindow: 3,
      estimateThreshold: 1e-6,
      estimateQueue: 1,
    });
    const sets = await Promise.all(
      [3, 6, 9, 12].map(async (steps) => {
        const scores = await fixed(steps);
        return keptSets(decide(scores, RATIOS), scores);
      }),
    );
    const between = (part: 'heads' | 'neurons' | 'modules' | 'ranks', i: number): number =>
      maskDistance(sets[i]![part], sets[i + 1]![part]);
    const distances = [0, 1, 2].map((i) => ({
      step: 3 * (i + 2),
      heads: between('heads', i),
      neurons: between('neurons', i),
      modules: between('modules', i),
      ranks: between('ranks', i),
    }));
    expect(found.stable?.distances).toEqual(distances);
    expect(distances.some((d) => d.ranks > 0)).toBe(true);
  });

  it('measures them by the importance that heads and neurons will be pruned by', async () => {
    const by = (importance: DecideOptions['importance']): DecideOptions => ({ ...RATIOS, importance });
    const window = { estimateWindow: 3, estimateThreshold: 1e-6, estimateQueue: 1, steps: 9 };
    const found = await estimated({ ...STABLE, ...window, decide: by('fisher') });
    const scores = await Promise.all([3, 6, 9].map(fixed));
    const sets = scores.map((each) => keptSets(decide(each, by('fisher')), each));
    const distances = [0, 1].map((i) => maskDistance(sets[i]!.neurons, sets[i + 1]!.neurons));
    expect(found.stable?.distances.map(({ neurons }) => neurons)).toEqual(distances);
    expect(keptSets(decide(scores[2]!, RATIOS), scores[2]!).neurons).not.toBe(sets[2]!.neurons);
  });

  it('that is never stable ends at the most, no multiple of a window, and says how far it was from it', async () => {
    const found = await estimated({
      ...STABLE,
      steps: 11,
      estimateWindow: 4,
      estimateThreshold: 1e-6,
      estimateQueue: 1,
    });
    expect(found.stable).toMatchObject({ isReached: false, maxSteps: 11, window: 4 });
    expectSame(found, await fixed(11));
    const [warning] = warnings;
    expect(warnings).toHaveLength(1);
    expect(warning).toMatch(
      /not become stable in 11 steps: its last mask distance is 0\.\d{3} \((heads|neurons|modules|ranks)\), and the last 1 must/,
    );
    expect(estimateResult(found, 'b').stability).toMatchObject({ reached: false, max_steps: 11, window: 4, queue: 1 });
  });

  it('takes its least number of steps', async () => {
    const loose = { estimateWindow: 2, estimateThreshold: 0.99, estimateQueue: 1 };
    expect((await estimated({ ...STABLE, ...loose, steps: 16 })).steps).toBe(4);
    expect((await estimated({ ...STABLE, ...loose, steps: 16, estimateMinSteps: 9 })).steps).toBe(10);
  });

  it('accumulated over micro-batches it measures the same', async () => {
    const window = { estimateWindow: 2, estimateThreshold: 0.99, estimateQueue: 2, steps: 8 };
    const found = await estimated({ ...STABLE, ...window, batchSize: 2, gradientAccumulationSteps: 2 });
    expectSame(found, await estimated({ ...STEPS, steps: 6, batchSize: 2, gradientAccumulationSteps: 2 }));
  });

  it('ended by a callback within a window it has measured the steps since the half before', async () => {
    const stop = { onStep: ({ step }: { step: number }) => (step === 16 ? ('stop' as const) : undefined) };
    const options = { estimateWindow: 5, estimateThreshold: 1e-6, estimateQueue: 1, steps: 40, callbacks: [stop] };
    const found = await estimated({ ...STABLE, ...options });
    expect(found).toMatchObject({ steps: 16, countedSteps: 9 });
    // Step 7 is the first of the second half of fifteen steps; a fixed estimation of 32 counts from step 16 on, which is none.
    const early = estimated({ ...STEPS, steps: 32, callbacks: [stop] });
    await expect(early).rejects.toThrow(
      'was stopped after step 16, before those that importance is measured in, from step 17 on',
    );
  });

  it('interrupted anywhere it goes on to the same numbers, bit for bit', async () => {
    const options = { ...STABLE, schedule: 'linear', steps: 40, estimateWindow: 3, estimateThreshold: 0.3 } as const;
    const { result: whole, ...expected } = await estimated(options);
    const checkpoint = { path: join(dir, 'c.safetensors'), resume: true, identity: {} };
    let found: Estimate | undefined;
    let interruptions = 0;
    while (!found) {
      const abort = new AbortController();
      const stop = setTimeout(() => abort.abort(), 60 + 40 * interruptions);
      found = await estimated({ ...options, signal: abort.signal, checkpoint, saveEvery: 5 }).catch(
        (error: unknown) => {
          expect(error).toBeInstanceOf(InterruptedError);
          return undefined;
        },
      );
      clearTimeout(stop);
      if (!found) interruptions++;
    }
    const { result, ...rest } = found;
    expect(interruptions).toBeGreaterThan(0);
    expect(result.loss).toEqual(whole.loss);
    expect(rest).toEqual(expected);
  });
});

it('a checkpoint without the sums of a stretch is refused', async () => {
  const path = join(dir, 'damaged.safetensors');
  const checkpoint = { path, resume: true, identity: {} };
  const abort = new AbortController();
  const stop = { onStep: ({ step }: { step: number }) => (step === 16 ? abort.abort() : undefined) };
  const options = { ...STABLE, steps: 40, estimateWindow: 4, estimateThreshold: 1e-6, saveEvery: 16, checkpoint };
  const stopped = estimated({ ...options, signal: abort.signal, callbacks: [stop] });
  await expect(stopped).rejects.toThrow(InterruptedError);
  expect(await withoutTensors(path, /^memory\.1$/)).toBe(1);
  const expected =
    /^\S+damaged\.safetensors: memory: expected sums of \d+ values for each of \d+ stretches: start anew without `resume`$/;
  await expect(estimated(options)).rejects.toThrow(expected);
});

describe('stretches', () => {
  it.each([
    [1, 7],
    [2, 9],
    [3, 40],
    [4, 11],
    [5, 23],
    [8, 64],
  ])('of windows of %d steps, at most %d, begin where the second half of any end begins', (window, most) => {
    const ends = Array.from({ length: most }, (_, i) => i + 1).filter((made) => made % window === 0 || made === most);
    for (const end of ends) {
      expect(endsStretch(end, window, most), `end ${end}`).toBe(true);
      const first = firstCounted(end);
      expect(first === 0 || endsStretch(first, window, most), `first step ${first} of ${end}`).toBe(true);
    }
  });
});

describe('options', () => {
  it('have the defaults of early-bird tickets', () => {
    const defaults = { window: 4, threshold: 0.1, queue: 4, minSteps: 1, maxSteps: 64 };
    expect(stableOptions({ estimateUntil: 'stable' }, 64)).toEqual(defaults);
    expect(stableOptions({}, 64)).toBeUndefined();
    expect(stableOptions({ estimateUntil: 'fixed' }, 64)).toBeUndefined();
  });

  it.each([
    [{ estimateMinSteps: 65 }, '`estimateMinSteps`: found 65 steps, expected at most the 64 of `estimateSteps`'],
    [{ estimateWindow: 65 }, '`estimateWindow`: found 65 steps, expected at most the 64 of `estimateSteps`'],
    [{ estimateWindow: 32 }, '`estimateSteps`: found 64, expected at least 160: 5 windows of 32 steps'],
    [{ estimateUntil: undefined, estimateWindow: 4 }, '`estimateWindow`: found `estimateUntil` fixed, expected stable'],
    [
      { estimateUntil: 'fixed', estimateThreshold: 0.2 },
      '`estimateThreshold`: found `estimateUntil` fixed, expected stable',
    ],
  ] as const)('that do not fit are refused: %j', (changes, message) => {
    const options = tinyOptions({ estimate: { estimateSteps: 64, estimateUntil: 'stable', ...changes } });
    expect(() => assertOptionsFit(options)).toThrow(message);
  });

  it.each([0, 1, -0.1, 1.5])('refuse a threshold of %d', async (estimateThreshold) => {
    const estimation = estimated({ ...STABLE, estimateThreshold });
    await expect(estimation).rejects.toThrow('`estimateThreshold`: found');
    await expect(estimation).rejects.toThrow('expected a number between 0 and 1');
  });

  it('leave the identity of a fixed estimation as it was', () => {
    const plain = numericOptions(tinyOptions(), 'estimate');
    expect(numericOptions(tinyOptions({ estimate: { estimateUntil: 'fixed' } }), 'estimate')).toEqual(plain);
    expect(Object.keys(plain).filter((key) => key.startsWith('estimate'))).toEqual(['estimateSteps']);
    const stable = tinyOptions({ estimate: { estimateUntil: 'stable', estimateSteps: 40 } });
    expect(numericOptions(stable, 'estimate')).toMatchObject({ estimateUntil: 'stable' });
    expect(estimateOptionsOf(stable)).toMatchObject({ estimateUntil: 'stable', decide: stable.decide });
  });
});
