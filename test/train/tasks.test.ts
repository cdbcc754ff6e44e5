/**
 * Protects: several tasks at once. Tasks that are the same learn what one learns; heads of their own see their own task alone; what is saved
 * comes back, by task too; a run stopped and resumed ends with the same bits; sizes of batches follow the rule.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EncodedExample } from '../../data/encoded-example.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { peftConfig } from '../../peft/create-config.ts';
import { getPeftModel } from '../../peft-model/create.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import type { StateDict } from '../../peft/module.ts';
import { estimateOptionsOf } from '../../experiments/options.ts';
import { decide } from '../../pruning/decide.ts';
import type { StepRecord } from '../../train/callbacks.ts';
import { estimate } from '../../train/estimate.ts';
import { evaluate } from '../../train/evaluate.ts';
import { InterruptedError } from '../../train/loop.ts';
import { pcgrad } from '../../train/gradient-control/projection.ts';
import type { TrainOptions } from '../../train/options.ts';
import { mixedBatchSizes } from '../../train/task-batches.ts';
import { train } from '../../train/train.ts';
import { openTestEngine } from '../engine.ts';
import { MODEL, tinyExamples, tinyModel, tinyOptions } from './tiny.ts';

const engine = await openTestEngine();
const examples = await tinyExamples();
const LABELS = ['0', '1', '2'];
const heads = [
  { name: 'first', head: 'classification', labels: LABELS },
  { name: 'second', head: 'classification', labels: LABELS },
] as const;

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

const options = tinyOptions({ train: { steps: 4, batchSize: 8, shuffle: false, maxGradNorm: 0 } });
const two = (first: EncodedExample[], second: EncodedExample[]) =>
  new Map([
    ['first', first],
    ['second', second],
  ]);

/** A model with a head for each task, all of which begin as the first one. */
async function twoHeads(changes: Parameters<typeof tinyOptions>[0] = {}): Promise<PeftModel> {
  const {
    peft,
    train: { seed },
  } = tinyOptions(changes);
  const model = await getPeftModel(engine, await loadModel(MODEL), peftConfig(peft), { heads, seed });
  const values = new Map(await model.stateDict());
  for (const [name, value] of values) if (values.has(`second:${name}`)) values.set(`second:${name}`, value);
  model.loadStateDict(values);
  return model;
}

function difference(a: StateDict, b: StateDict): number {
  return Math.max(...[...a].flatMap(([name, values]) => [...values].map((v, i) => Math.abs(v - b.get(name)![i]!))));
}

describe('two tasks that are the same', () => {
  // AdamW does not see that gradients are twice as long.
  it.each(['shared', 'per-task'])('learn what one learns, with heads %s', async (kind) => {
    using one = kind === 'shared' ? await tinyModel(engine) : await twoHeads();
    using both = kind === 'shared' ? await tinyModel(engine) : await twoHeads();
    const { loss } = await train(one, examples, options.train);
    const result = await train(both, two(examples, examples), options.train);
    result.loss.forEach((value, step) => expect(value).toBeCloseTo(2 * loss[step]!, 4));
    const [wanted, found] = [new Map(await one.stateDict()), await both.stateDict()];
    if (kind === 'per-task')
      for (const name of wanted.keys())
        if (found.has(`second:${name}`)) wanted.set(`second:${name}`, wanted.get(name)!);
    expect(difference(found, wanted)).toBeLessThan(1e-4);
  });
});

it('a head of its own does not move by the other task', async () => {
  using model = await twoHeads();
  const before = await model.stateDict();
  const unlabelled = examples.map((example) => ({ ...example, label: -100 }));
  await train(model, two(examples, unlabelled), { ...options.train, steps: 2 });
  const after = await model.stateDict();
  for (const [name, values] of before) {
    const isMoved = values.some((value, i) => value !== after.get(name)![i]);
    expect(isMoved, name).toBe(!name.startsWith('second:'));
  }
});

it('a task without gradients in its first ten steps ends the run', async () => {
  using model = await twoHeads();
  const unlabelled = examples.map((example) => ({ ...example, label: -100 }));
  const run = train(model, two(examples, unlabelled), { ...options.train, steps: 12 });
  await expect(run).rejects.toThrow(/task second: its gradients were 0 in each of the first 10 steps/);
});

it('a strategy on a model without modules in its layers is refused', async () => {
  using model = await twoHeads({ peft: { targetModules: ['word_embeddings'] } });
  const run = train(model, two(examples, examples), { ...options.train, gradientControl: [pcgrad()] });
  await expect(run).rejects.toThrow(/works by layers of PEFT modules, and the model has none/);
});

it('what is saved comes back, whole and by task', async () => {
  using model = await twoHeads();
  await train(model, two(examples, examples.slice(3)), options.train);
  await model.savePretrained(join(dir, 'whole'));
  await model.forTask('second').savePretrained(join(dir, 'second'));
  const values = await model.stateDict();
  const checkpoint = await loadModel(MODEL);
  using whole = await PeftModel.fromPretrained(engine, checkpoint, join(dir, 'whole'));
  expect(difference(await whole.stateDict(), values)).toBe(0);
  const figures = async (of: PeftModel) => (await evaluate(of, examples)).metrics.loss;
  const wanted = await figures(model.forTask('second'));
  expect(wanted).not.toBe(await figures(model));
  expect(await figures(whole.forTask('second'))).toBe(wanted);
  for (const [folder, taskHead] of [
    ['whole', 'second'],
    ['second', undefined],
  ] as const) {
    using alone = await PeftModel.fromPretrained(engine, checkpoint, join(dir, folder), { taskHead });
    expect(alone.heads).toBeUndefined();
    expect(await figures(alone)).toBe(wanted);
  }
  const unknown = PeftModel.fromPretrained(engine, checkpoint, join(dir, 'whole'), { taskHead: 'secnd' });
  await expect(unknown).rejects.toThrow(/found "secnd", did you mean "second"\?, expected one of first, second/);
});

it('is pruned after an estimation on both, with all its heads', async () => {
  using model = await twoHeads();
  const estimated = await estimate(model, two(examples, examples.slice(5)), estimateOptionsOf(options));
  using pruned = await model.prune(decide(estimated, { heads: 0.25, neurons: 0.25, modules: 0.25, ranks: 0.25 }));
  expect(pruned.heads).toEqual(heads);
  const records: StepRecord[] = [];
  await train(pruned, two(examples, examples), {
    ...options.train,
    gradientControl: 'clnorm+ilproj',
    clnormTask: 'second',
    callbacks: [{ onStep: (record) => void records.push(record) }],
  });
  expect(records.at(-1)!.tasks!.weight!.every(Number.isFinite)).toBe(true);
});

it.each([
  ['clnorm+ilproj', { clnormTask: 'second', clnormAlpha: 1e-2 }],
  ['gradnorm', {}],
] as const)('a run with %s, stopped and resumed, ends with the same bits', async (gradientControl, more) => {
  const changes = { peft: { dropout: 0.2 } };
  const how: TrainOptions = { ...options.train, ...more, gradientControl, shuffle: true, steps: 24, batchSize: 4 };
  const data = two(examples, examples.slice(0, 13));
  const all = { ...how, gradientAccumulationSteps: 2, taskMix: 'proportional' };
  using whole = await twoHeads(changes);
  const expected = await train(whole, data, all);
  const path = join(dir, `${gradientControl}.safetensors`);
  using part = await twoHeads(changes);
  const stop = new AbortController();
  const checkpoint = { path, resume: 'always', identity: {} } as const;
  const stopping = { onStep: ({ step }: StepRecord) => step >= 9 && stop.abort() };
  const stopped = train(part, data, { ...all, checkpoint, saveEvery: 3, signal: stop.signal, callbacks: [stopping] });
  await expect(stopped).rejects.toThrow(InterruptedError);
  using again = await twoHeads(changes);
  const resumed = await train(again, data, { ...all, checkpoint, saveEvery: 3 });
  expect(resumed.loss).toEqual(expected.loss);
  expect(difference(await again.stateDict(), await whole.stateDict())).toBe(0);
});

it.each(['lora', 'dora', 'houlsby', 'parallel', 'ia3'] as const)(
  '%s: two batches of four are one of eight, under control',
  async (method) => {
    const changes = { peft: { method } };
    const steps = async (more: TrainOptions): Promise<StepRecord[]> => {
      const records: StepRecord[] = [];
      using model = await twoHeads(changes);
      await train(model, two(examples, examples.slice(3)), {
        ...{
          steps: 2,
          lr: 3e-3,
          shuffle: false,
          gradientControl: 'clnorm+ilproj',
          clnormTask: 'first',
          clnormAlpha: 0.01,
        },
        ...more,
        callbacks: [{ onStep: (record) => void records.push(record) }],
      });
      return records;
    };
    const [parts, whole] = [await steps({ batchSize: 4, gradientAccumulationSteps: 2 }), await steps({ batchSize: 8 })];
    whole.forEach(({ gradNorm, tasks }, i) => {
      const found = parts[i]!;
      expect(Math.abs(found.gradNorm / gradNorm - 1)).toBeLessThan(1e-4);
      expect(tasks!.magnitude.first).toHaveLength(3);
      tasks!.weight!.forEach((w, l) => expect(found.tasks!.weight![l]).toBeCloseTo(w, 5));
    });
  },
);

it('batches follow the rule', () => {
  expect(mixedBatchSizes([100, 400], 32, 'equal')).toEqual([32, 32]);
  expect(mixedBatchSizes([100, 400, 1], 32, 'proportional')).toEqual([8, 32, 1]);
  expect(mixedBatchSizes([100, 400], 32, 'temperature=2')).toEqual([16, 32]);
  expect(() => mixedBatchSizes([1, 2], 4, 'temperature=0')).toThrow(/found "temperature=0", expected equal/);
});
