/** Protects: callbacks hear of every step once and in order, change no number, may stop the run, and hear of its end whatever ends it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { StepRecord, TrainerCallback } from '../../train/callbacks.ts';
import { estimateOptionsOf } from '../../experiments/options.ts';
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

const options = tinyOptions({
  peft: { dropout: 0.1 },
  train: { steps: 20, maxGradNorm: 0.5, gradientAccumulationSteps: 1 },
});

/** Writes down all that it hears. */
function recorder(): TrainerCallback & { readonly heard: string[]; readonly steps: StepRecord[] } {
  const heard: string[] = [];
  const steps: StepRecord[] = [];
  return {
    heard,
    steps,
    onTrainBegin: (step, total) => void heard.push(`begin ${step} of ${total}`),
    onStep: (record) => void steps.push(record),
    onSave: (step) => void heard.push(`save ${step}`),
    onTrainEnd: () => void heard.push('end'),
  };
}

it('hears of every step in order, and changes no number', async () => {
  const examples = await tinyExamples();
  using plain = await tinyModel(engine, options);
  const expected = await train(plain, examples, options.train);
  using model = await tinyModel(engine, options);
  const callback = recorder();
  const result = await train(model, examples, { ...options.train, callbacks: [callback] });
  expect(result.loss).toEqual(expected.loss);
  expect(await model.stateDict()).toEqual(await plain.stateDict());
  expect(callback.heard).toEqual(['begin 0 of 20', 'end']);
  expect(callback.steps.map(({ step }) => step)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  expect(callback.steps.map(({ loss }) => loss)).toEqual(result.loss);
  // 32 examples, 4 at a time; linear decay from the first step.
  expect(callback.steps[11]).toMatchObject({ epoch: 1.5, lr: expect.closeTo(3e-3 * (9 / 20), 12) as number });
  for (const { gradNorm } of callback.steps) expect(gradNorm).toBeGreaterThan(0);
});

it('the norm of an accumulated step is that of the whole batch', async () => {
  const examples = await tinyExamples();
  const norms = async (change: object): Promise<number[]> => {
    const { train: numbers } = tinyOptions({ train: { steps: 2, maxGradNorm: 0, groupByLength: false, ...change } });
    using model = await tinyModel(engine);
    const callback = recorder();
    await train(model, examples, { ...numbers, callbacks: [callback] });
    return callback.steps.map(({ gradNorm }) => gradNorm);
  };
  const whole = await norms({ batchSize: 8 });
  const parts = await norms({ batchSize: 4, gradientAccumulationSteps: 2 });
  parts.forEach((norm, i) => expect(norm).toBeCloseTo(whole[i]!, 4));
});

it('after a stop in the middle nothing is told twice, and the records are those of a whole run', async () => {
  const examples = await tinyExamples();
  const whole = recorder();
  using model = await tinyModel(engine, options);
  await train(model, examples, { ...options.train, callbacks: [whole] });
  const path = join(dir, 'a.safetensors');
  const checkpoint = { path, resume: true, identity: {} };
  const abort = new AbortController();
  const first = recorder();
  using stopped = await tinyModel(engine, options);
  const stop = { signal: abort.signal, onReport: () => abort.abort(), checkpoint, callbacks: [first] };
  await expect(train(stopped, examples, { ...options.train, ...stop })).rejects.toThrow(InterruptedError);
  expect(first.heard).toEqual(['begin 0 of 20', `save ${first.steps.length}`, 'end']);
  const second = recorder();
  using resumed = await tinyModel(engine, options);
  await train(resumed, examples, { ...options.train, checkpoint, callbacks: [second] });
  expect(second.heard).toEqual([`begin ${first.steps.length} of 20`, 'end']);
  expect([...first.steps, ...second.steps]).toEqual(whole.steps);
});

it('stops a run, which is then as long as what it ran', async () => {
  using model = await tinyModel(engine, options);
  const long = { ...options.train, steps: 60 };
  const onStep = ({ step }: StepRecord): 'stop' | undefined => (step === 20 ? 'stop' : undefined);
  const other = recorder();
  const result = await train(model, await tinyExamples(), { ...long, callbacks: [{ onStep }, other] });
  expect(result.steps).toBe(32);
  expect(result.loss).toHaveLength(32);
  expect(other.steps).toHaveLength(32);
  expect(other.heard.at(-1)).toBe('end');
});

it('hears of the end where a callback fails', async () => {
  using model = await tinyModel(engine, options);
  const last = recorder();
  const onStep = (): never => {
    throw new Error('the log is full');
  };
  const run = train(model, await tinyExamples(), { ...options.train, callbacks: [{ onStep }, last] });
  await expect(run).rejects.toThrow('the log is full');
  expect(last.heard).toEqual(['begin 0 of 20', 'end']);
});

it('hears of an estimation, with the penalty in the loss alone', async () => {
  using model = await tinyModel(engine, options);
  const callback = recorder();
  await estimate(model, await tinyExamples(), { ...estimateOptionsOf(options), callbacks: [callback] });
  expect(callback.steps).toHaveLength(4);
  for (const { loss, taskLoss } of callback.steps) expect(loss).toBeGreaterThan(taskLoss);
});
