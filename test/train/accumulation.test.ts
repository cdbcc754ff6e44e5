/** Protects: accumulation with dropout, in estimations and across a stop is that of one large batch; seeds are apart. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { estimateOptionsOf, type RunOptions } from '../../experiments/options.ts';
import { estimate } from '../../train/estimate.ts';
import { InterruptedError } from '../../train/loop.ts';
import { train } from '../../train/train.ts';
import { openTestEngine } from '../engine.ts';
import { tinyExamples, tinyModel, tinyOptions } from './tiny.ts';

const engine = await openTestEngine();
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

const optionsWith = (changes: Partial<RunOptions['train']>): RunOptions =>
  tinyOptions({ peft: { dropout: 0.3 }, train: { steps: 5, maxGradNorm: 0.5, ...changes } });

/** Losses and weights of a training. */
async function numbersOf(options: RunOptions): Promise<number[]> {
  using model = await tinyModel(engine, options);
  const { loss } = await train(model, await tinyExamples(), options.train);
  return [...loss, ...[...(await model.stateDict()).values()].flatMap((values) => [...values])];
}

function difference(found: readonly number[], expected: readonly number[]): number {
  expect(found.length).toBe(expected.length);
  return Math.max(...expected.map((value, i) => Math.abs(value - found[i]!) / Math.max(1, Math.abs(value))));
}

describe('four batches of three are one of twelve', () => {
  const apart = optionsWith({ batchSize: 3, gradientAccumulationSteps: 4 });
  const whole = optionsWith({ batchSize: 12 });

  it('in training with dropout, the smaller last batch of an epoch too', async () => {
    expect(difference(await numbersOf(apart), await numbersOf(whole))).toBeLessThan(1e-5);
  });

  it('in an estimation', async () => {
    const examples = await tinyExamples();
    const importance = async (options: RunOptions): Promise<number[]> => {
      using model = await tinyModel(engine, options);
      const { heads, neurons, modules, ranks } = await estimate(model, examples, estimateOptionsOf(options));
      return [...heads, ...neurons, ...Object.values(ranks)].flatMap((row) => [...row]).concat(Object.values(modules));
    };
    expect(difference(await importance(apart), await importance(whole))).toBeLessThan(1e-5);
  });
});

it('a run stopped between accumulations goes on to the same bits', async () => {
  const options = optionsWith({ steps: 40, batchSize: 3, gradientAccumulationSteps: 3 });
  const examples = await tinyExamples();
  using model = await tinyModel(engine, options);
  const start = await model.stateDict();
  const expected = await train(model, examples, options.train);
  const weights = await model.stateDict();
  model.loadStateDict(start);
  const abort = new AbortController();
  const checkpoint = { path: join(dir, 'accumulated.safetensors'), resume: true, identity: {} };
  const stop = { signal: abort.signal, onReport: () => abort.abort(), checkpoint };
  await expect(train(model, examples, { ...options.train, ...stop })).rejects.toThrow(InterruptedError);
  model.loadStateDict(start);
  const resumed = await train(model, examples, { ...options.train, checkpoint });
  expect(resumed.loss).toEqual(expected.loss);
  expect(await model.stateDict()).toEqual(weights);
});

describe('order and dropout have seeds of their own', () => {
  /** Weights start alike, whatever the seed. */
  const trained = async (changes: Partial<RunOptions['train']>): Promise<number[]> => {
    const options = optionsWith({ groupByLength: false, ...changes });
    using model = await tinyModel(engine, optionsWith({ seed: 0 }));
    return [...(await train(model, await tinyExamples(), options.train)).loss];
  };

  it('which are the seed where they are not given', async () => {
    expect(await trained({ seed: 9, shuffleSeed: 1, dropoutSeed: 1 })).toEqual(await trained({ seed: 1 }));
  });

  it.each([{ shuffleSeed: 2 }, { dropoutSeed: 2 }])('each of which tells: %o', async (other) => {
    expect(await trained({ seed: 1, ...other })).not.toEqual(await trained({ seed: 1 }));
  });

  it('and neither changes what the other draws', async () => {
    const still = { shuffle: false };
    expect(await trained({ ...still, seed: 1, shuffleSeed: 2 })).toEqual(await trained({ ...still, seed: 1 }));
  });
});
