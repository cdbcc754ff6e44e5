/** Tests only: a long training run on the small RoBERTa, watched for memory that grows. */
import { rm } from 'node:fs/promises';
import { linearRegression } from 'simple-statistics';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Engine } from '../../engine/engine.ts';
import { train } from '../../train/train.ts';
import { tinyExamples, tinyModel, tinyOptions } from '../train/tiny.ts';

const HOST = ['rss', 'heapUsed', 'external', 'arrayBuffers'] as const;

export interface Soak {
  /** Bytes per step of the least-squares line through the samples after the warm-up. */
  readonly slopes: Readonly<Record<(typeof HOST)[number], number>>;
  /** Bytes at the first and last sample after the warm-up. */
  readonly first: Readonly<Record<(typeof HOST)[number], number>>;
  readonly last: Readonly<Record<(typeof HOST)[number], number>>;
  /** What the engine says it has allocated, and buffers made, at each sample after the warm-up. */
  readonly device: readonly number[];
  readonly buffers: readonly number[];
  readonly seconds: number;
}

/** @param warmUp steps that are not looked at: shapes are compiled, caches fill */
export async function soak(engine: Engine, steps: number, warmUp: number, checkpoint: string): Promise<Soak> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const options = tinyOptions({ peft: { dropout: 0.1 }, train: { steps, saveEvery: 50 } });
  using model = await tinyModel(engine, options);
  const samples: { step: number; host: NodeJS.MemoryUsage; device: number; buffers: number }[] = [];
  const onReport = ({ step }: { step: number }): void => {
    collect();
    const { current: device, created: buffers } = engine.memory;
    if (step > warmUp) samples.push({ step, host: process.memoryUsage(), device, buffers });
  };
  const save = { path: checkpoint, resume: false, identity: {} };
  const result = await train(model, await tinyExamples(), { ...options.train, onReport, checkpoint: save });
  await rm(checkpoint, { force: true });
  const hostOf = (sample: (typeof samples)[number]) =>
    Object.fromEntries(HOST.map((kind) => [kind, sample.host[kind]])) as Soak['first'];
  const slope = (kind: (typeof HOST)[number]): number =>
    linearRegression(samples.map(({ step, host }) => [step, host[kind]])).m;
  return {
    slopes: Object.fromEntries(HOST.map((kind) => [kind, slope(kind)])) as Soak['slopes'],
    first: hostOf(samples[0]!),
    last: hostOf(samples.at(-1)!),
    device: samples.map(({ device }) => device),
    buffers: samples.map(({ buffers }) => buffers),
    seconds: result.seconds,
  };
}
