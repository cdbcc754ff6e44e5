/** Protects: an interrupted run goes on to the same numbers bit for bit; a loss that is not finite stops it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { exists } from '../../engine/io/files.ts';
import { numericSettings } from '../../train/checkpoint.ts';
import { InterruptedError, NonFiniteLossError } from '../../train/loop.ts';
import { estimate, fineTune } from '../../train/stages.ts';
import { tinyAssembly, tinyExamples, tinySettings } from './tiny.ts';

let engine: Engine;
let dir: string;
beforeAll(async () => {
  engine = await Engine.open();
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(async () => {
  engine.close();
  await rm(dir, { recursive: true });
});

const settings = tinySettings({ steps: 40, dropout: 0.1, clip: 1 });

it('fine-tuning with dropout, interrupted and resumed, equals an uninterrupted run', async () => {
  const examples = await tinyExamples();
  const assembly = await tinyAssembly(engine, settings);
  const whole = await fineTune(engine, assembly, examples, settings);
  const abort = new AbortController();
  const checkpoint = { path: join(dir, 'a.safetensors'), every: 0, resume: true, identity: { run: 1 } };
  const stop = { signal: abort.signal, onReport: () => abort.abort(), checkpoint };
  await expect(fineTune(engine, assembly, examples, settings, stop)).rejects.toThrow(InterruptedError);
  expect(await exists(checkpoint.path)).toBe(true);
  const resumed = await fineTune(engine, assembly, examples, settings, { checkpoint });
  expect(resumed.result.loss).toEqual(whole.result.loss);
  expect(resumed.result.tokens).toBeLessThan(whole.result.tokens);
  for (const [name, values] of whole.assembly.values) expect(resumed.assembly.values.get(name), name).toEqual(values);
  const other = { ...checkpoint, identity: { run: 2 } };
  await expect(fineTune(engine, assembly, examples, settings, { checkpoint: other })).rejects.toThrow(
    /run was 1, now it is 2/,
  );
  assembly.base.free();
});

it('is heard a few steps after Ctrl-C, before the first report at step 16', async () => {
  const assembly = await tinyAssembly(engine, settings);
  const abort = new AbortController();
  const path = join(dir, 'soon.safetensors');
  let runs = 0;
  const { queue } = engine.device;
  const submit = vi.spyOn(queue, 'submit').mockImplementation((buffers) => {
    if (++runs === 5) setImmediate(() => abort.abort());
    GPUQueue.prototype.submit.call(queue, buffers);
  });
  const checkpoint = { path, every: 0, resume: false, identity: {} };
  const stopped = fineTune(engine, assembly, await tinyExamples(), settings, { signal: abort.signal, checkpoint });
  await expect(stopped).rejects.toThrow(/Interrupted after step ([5-9]|1[0-5]) of 40/);
  submit.mockRestore();
  assembly.base.free();
});

it('goes on under other memory options, as they change no number', async () => {
  const examples = await tinyExamples();
  const assembly = await tinyAssembly(engine, settings);
  const whole = await fineTune(engine, assembly, examples, settings);
  const economical = { ...settings, gradientCheckpointing: true, embeddings: 'host' } as const;
  const identity = numericSettings(settings, 'train');
  expect(numericSettings(economical, 'train')).toEqual(identity);
  expect(numericSettings({ ...settings, weights: 'f16' }, 'train')).not.toEqual(identity);
  expect(numericSettings({ ...settings, activations: 'f16' }, 'train')).not.toEqual(identity);
  expect(numericSettings(economical, 'estimate')).not.toEqual(numericSettings(settings, 'estimate'));
  const abort = new AbortController();
  const checkpoint = { path: join(dir, 'memory.safetensors'), every: 0, resume: true, identity };
  const stop = { signal: abort.signal, onReport: () => abort.abort(), checkpoint };
  await expect(fineTune(engine, assembly, examples, settings, stop)).rejects.toThrow(InterruptedError);
  const frugal = await tinyAssembly(engine, economical);
  const resumed = await fineTune(engine, frugal, examples, economical, { checkpoint });
  expect(resumed.result.loss).toEqual(whole.result.loss);
  for (const [name, values] of whole.assembly.values) expect(resumed.assembly.values.get(name), name).toEqual(values);
  assembly.base.free();
  frugal.base.free();
});

it('an interrupted estimation keeps its accumulators', async () => {
  const examples = await tinyExamples();
  const assembly = await tinyAssembly(engine, settings);
  const run = { ...settings, estimateSteps: 40 };
  const whole = await estimate(engine, assembly, examples, run);
  const abort = new AbortController();
  const checkpoint = { path: join(dir, 'b.safetensors'), every: 0, resume: true, identity: {} };
  const reports: number[] = [];
  const onReport = ({ step }: { step: number }): void => {
    reports.push(step);
    if (step > 20) abort.abort();
  };
  await expect(
    estimate(engine, assembly, examples, run, { signal: abort.signal, onReport, checkpoint }),
  ).rejects.toThrow(InterruptedError);
  const hosted = { ...run, embeddings: 'host' } as const;
  const frugal = await tinyAssembly(engine, hosted);
  const resumed = await estimate(engine, frugal, examples, hosted, { checkpoint });
  expect(resumed.estimates).toEqual(whole.estimates);
  assembly.base.free();
  frugal.base.free();
});

it('a loss that is not finite stops training and names the step', async () => {
  const examples = await tinyExamples();
  const assembly = await tinyAssembly(engine, settings);
  const values = new Map(assembly.values);
  values.set('classifier.out_proj.bias', Float32Array.of(NaN, 0, 0));
  await expect(fineTune(engine, { ...assembly, values }, examples, settings)).rejects.toThrow(NonFiniteLossError);
  await expect(fineTune(engine, { ...assembly, values }, examples, settings)).rejects.toThrow(/NaN at step 1:/);
  assembly.base.free();
});
