/** Protects: an interrupted run goes on to the same numbers bit for bit; a loss that is not finite stops it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { exists } from '../../engine/io/files.ts';
import { estimateOptionsOf, numericOptions } from '../../experiments/options.ts';
import { UNIT_SCORES } from '../../pruning/unit-scores.ts';
import { estimate } from '../../train/estimate.ts';
import { InterruptedError, NonFiniteLossError } from '../../train/loop.ts';
import { train } from '../../train/train.ts';
import { openTestEngine } from '../engine.ts';
import { tinyExamples, tinyModel, tinyOptions, withoutTensors, type Changes } from './tiny.ts';

const engine = await openTestEngine();
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

const CHANGES: Changes = { peft: { dropout: 0.1 }, train: { steps: 40, maxGradNorm: 1 } };
const options = tinyOptions(CHANGES);

it('fine-tuning with dropout, interrupted and resumed, equals an uninterrupted run', async () => {
  const examples = await tinyExamples();
  using whole = await tinyModel(engine, options);
  const start = await whole.stateDict();
  const expected = await train(whole, examples, options.train);
  const abort = new AbortController();
  const checkpoint = { path: join(dir, 'a.safetensors'), resume: true, identity: { run: 1 } };
  const stop = { signal: abort.signal, onReport: () => abort.abort(), checkpoint };
  using model = await tinyModel(engine, options);
  await expect(train(model, examples, { ...options.train, ...stop })).rejects.toThrow(InterruptedError);
  expect(await exists(checkpoint.path)).toBe(true);
  model.loadStateDict(start);
  const from: number[] = [];
  const onReport = (report: { readonly from: number }): void => void from.push(report.from);
  const resumed = await train(model, examples, { ...options.train, checkpoint, onReport });
  expect(from[0]).toBeGreaterThan(0);
  expect(resumed.loss).toEqual(expected.loss);
  expect(resumed.tokens).toBe(expected.tokens);
  expect(await model.stateDict()).toEqual(await whole.stateDict());
  const other = { ...checkpoint, identity: { run: 2 } };
  await expect(train(model, examples, { ...options.train, checkpoint: other })).rejects.toThrow(
    /run` was 1, now it is 2/,
  );
});

it('is heard a few steps after Ctrl-C, before the first report at step 16', async () => {
  using model = await tinyModel(engine, options);
  const abort = new AbortController();
  const path = join(dir, 'soon.safetensors');
  let runs = 0;
  const { queue } = engine.device;
  const submit = vi.spyOn(queue, 'submit').mockImplementation((buffers) => {
    if (++runs === 5) setImmediate(() => abort.abort());
    GPUQueue.prototype.submit.call(queue, buffers);
  });
  const checkpoint = { path, resume: false, identity: {} };
  const stopped = train(model, await tinyExamples(), { ...options.train, signal: abort.signal, checkpoint });
  await expect(stopped).rejects.toThrow(/Interrupted after step ([5-9]|1[0-5]) of 40/);
  submit.mockRestore();
});

it('goes on under other memory options, as they change no number', async () => {
  const examples = await tinyExamples();
  using whole = await tinyModel(engine, options);
  const expected = await train(whole, examples, options.train);
  const economical = tinyOptions({
    ...CHANGES,
    train: { ...CHANGES.train, gradientCheckpointing: true },
    load: { embeddings: 'host' },
  });
  const identity = numericOptions(options, 'train');
  expect(numericOptions(economical, 'train')).toEqual(identity);
  const halfWeights = tinyOptions({ ...CHANGES, load: { weights: 'f16' } });
  const halfActivations = tinyOptions({ ...CHANGES, train: { ...CHANGES.train, activations: 'f16' } });
  expect(numericOptions(halfWeights, 'train')).not.toEqual(identity);
  expect(numericOptions(halfActivations, 'train')).not.toEqual(identity);
  expect(numericOptions(economical, 'estimate')).not.toEqual(numericOptions(options, 'estimate'));
  const abort = new AbortController();
  const checkpoint = { path: join(dir, 'memory.safetensors'), resume: true, identity };
  const stop = { signal: abort.signal, onReport: () => abort.abort(), checkpoint };
  using model = await tinyModel(engine, options);
  await expect(train(model, examples, { ...options.train, ...stop })).rejects.toThrow(InterruptedError);
  using frugal = await tinyModel(engine, economical);
  const resumed = await train(frugal, examples, { ...economical.train, checkpoint });
  expect(resumed.loss).toEqual(expected.loss);
  expect(await frugal.stateDict()).toEqual(await whole.stateDict());
});

it('an interrupted estimation keeps its accumulators', async () => {
  const examples = await tinyExamples();
  const run = tinyOptions({ ...CHANGES, estimate: { estimateSteps: 40 } });
  using model = await tinyModel(engine, run);
  const start = await model.stateDict();
  const { result: _, ...whole } = await estimate(model, examples, estimateOptionsOf(run));
  model.loadStateDict(start);
  const abort = new AbortController();
  const checkpoint = { path: join(dir, 'b.safetensors'), resume: true, identity: {} };
  const onReport = ({ step }: { step: number }): void => {
    if (step > 20) abort.abort();
  };
  const stop = { signal: abort.signal, onReport, checkpoint };
  await expect(estimate(model, examples, { ...estimateOptionsOf(run), ...stop })).rejects.toThrow(InterruptedError);
  const hosted = tinyOptions({ ...CHANGES, estimate: { estimateSteps: 40 }, load: { embeddings: 'host' } });
  using frugal = await tinyModel(engine, hosted);
  const { result: __, ...resumed } = await estimate(frugal, examples, { ...estimateOptionsOf(hosted), checkpoint });
  expect(resumed).toEqual(whole);
  expect(Object.keys(resumed.units!)).toEqual([...UNIT_SCORES]);
});

it('a checkpoint of counted steps without sums of heads and neurons goes on, and only their weights tell of them', async () => {
  const examples = await tinyExamples();
  const run = tinyOptions({ ...CHANGES, estimate: { estimateSteps: 40 } });
  const path = join(dir, 'earlier.safetensors');
  const checkpoint = { path, resume: true, identity: {} };
  using model = await tinyModel(engine, run);
  const start = await model.stateDict();
  const { result: _, units, ...whole } = await estimate(model, examples, estimateOptionsOf(run));
  model.loadStateDict(start);
  const abort = new AbortController();
  const onReport = ({ step }: { step: number }): void => {
    if (step > 20) abort.abort();
  };
  const stop = { signal: abort.signal, onReport, checkpoint };
  await expect(estimate(model, examples, { ...estimateOptionsOf(run), ...stop })).rejects.toThrow(InterruptedError);
  expect(await withoutTensors(path, /importance\.(units|taylor|fisher|squares)/)).toBe(4);
  model.loadStateDict(start);
  const {
    result: __,
    units: left,
    ...resumed
  } = await estimate(model, examples, {
    ...estimateOptionsOf(run),
    checkpoint,
  });
  expect(resumed).toEqual(whole);
  expect(left).toEqual({ magnitude: units!.magnitude });
});

it('a loss that is not finite stops training and names the step', async () => {
  const examples = await tinyExamples();
  using model = await tinyModel(engine, options);
  const values = new Map(await model.stateDict());
  values.set('classifier.out_proj.bias', Float32Array.of(NaN, 0, 0));
  model.loadStateDict(values);
  await expect(train(model, examples, options.train)).rejects.toThrow(NonFiniteLossError);
  model.loadStateDict(values);
  await expect(train(model, examples, options.train)).rejects.toThrow(/NaN at step 1:/);
});
