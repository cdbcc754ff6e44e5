/**
 * Protects: fine-tuning with a teacher — who is asked for the examples of the run alone and can be gone before it, whose scores split and
 * accumulate like labels, and with whom a stopped run goes on to the same bits.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IGNORE_INDEX, type EncodedExample } from '../../data/encoded-example.ts';
import { estimateOptionsOf, estimationOptions, numericOptions, tellingOptions } from '../../experiments/options.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { loraConfig } from '../../peft/create-config.ts';
import { getPeftModel } from '../../peft-model/create.ts';
import type { PeftModel } from '../../peft-model/peft-model.ts';
import { teacherLogits } from '../../train/distillation.ts';
import { infer } from '../../train/evaluate.ts';
import { InterruptedError } from '../../train/loop.ts';
import type { TrainOptions } from '../../train/options.ts';
import { train } from '../../train/train.ts';
import { openTestEngine } from '../engine.ts';
import { MODEL, tinyExamples, tinyModel, tinyOptions, type Changes } from './tiny.ts';

const engine = await openTestEngine();
let dir: string;
let examples: EncodedExample[];
/** Scores of all examples by a model that has learned them a little. */
let logits: Float32Array;
let largest: number;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  examples = await tinyExamples();
  using teacher = await tinyModel(engine, tinyOptions({ train: { seed: 5 } }));
  await train(teacher, examples, { ...tinyOptions().train, steps: 20, lr: 1e-2 });
  ({ logits } = await infer(teacher, examples));
  largest = Math.max(...logits.map(Math.abs));
});
afterAll(() => rm(dir, { recursive: true }));

const settings = (changes: Changes['train'] = {}): TrainOptions =>
  tinyOptions({ train: { steps: 6, maxGradNorm: 0.5, ...changes } }).train;

interface Numbers {
  readonly loss: readonly number[];
  readonly weights: readonly number[];
}

/** Losses and weights of a training of a fresh model. */
async function numbersOf(options: TrainOptions, of: readonly EncodedExample[] = examples): Promise<Numbers> {
  using model = await tinyModel(engine, tinyOptions({ peft: { dropout: 0.3 } }));
  const { loss } = await train(model, of, options);
  return { loss, weights: await weightsOf(model) };
}

async function weightsOf(model: PeftModel): Promise<number[]> {
  return [...(await model.stateDict()).values()].flatMap((values) => [...values]);
}

function expectClose(found: Numbers, expected: Numbers): void {
  for (const key of ['loss', 'weights'] as const)
    expected[key].forEach((value, i) =>
      expect(Math.abs(value - found[key][i]!), `${key} ${i}`).toBeLessThan(1e-5 * Math.max(1, Math.abs(value))),
    );
}

describe('a teacher', () => {
  it('is asked for the labelled examples of the run alone, and gives what it gives for all', async () => {
    const some = examples.map((example, i) => (i % 5 === 0 ? { ...example, label: IGNORE_INDEX } : example));
    using teacher = await tinyModel(engine);
    const all = await infer(teacher, some);
    const few = await teacherLogits(teacher, some, settings({ steps: 3, shuffle: false }));
    const seen = Array.from({ length: 12 }, (_, i) => i).filter((i) => i % 5 !== 0);
    expect(few.examples).toBe(seen.length);
    expect(few.seconds).toBeGreaterThan(0);
    some.forEach((_, i) => {
      const [found, expected] = [few.logits, all.logits].map((of) => [...of.subarray(3 * i, 3 * i + 3)]);
      if (!seen.includes(i)) {
        expect(found).toEqual([NaN, NaN, NaN]);
        return;
      }
      found!.forEach((value, c) => expect(Math.abs(value - expected![c]!)).toBeLessThan(1e-5));
    });
    const epoch = await teacherLogits(teacher, some, settings({ steps: 8 }));
    expect(epoch.examples).toBe(some.filter(({ label }) => label >= 0).length);
  });

  it('is as good as its scores, and both are told in the result', async () => {
    const options = { ...settings(), distillWeight: 0.7 };
    using teacher = await tinyModel(engine, tinyOptions({ train: { seed: 3 } }));
    const scores = await teacherLogits(teacher, examples, options);
    expect(await numbersOf({ ...options, distill: scores })).toEqual(await numbersOf({ ...options, distill: teacher }));
    using model = await tinyModel(engine);
    const huge = { ...scores, peakBytes: 1e12 };
    const result = await train(model, examples, { ...options, distill: huge });
    const { seconds, examples: count } = scores;
    expect(result.teacher).toEqual({ seconds, examples: count, peakBytes: 1e12 });
    expect(result.peakBytes).toBe(1e12);
    expect(result.seconds).toBeGreaterThan(0);
  });

  it('leaves nothing on the device once it is disposed of', async () => {
    engine.arena.release();
    const before = engine.memory.current;
    const teacher = await tinyModel(engine);
    await teacherLogits(teacher, examples, settings());
    teacher.dispose();
    // Training does so when it begins.
    engine.arena.release();
    expect(engine.memory.current).toBe(before);
  });

  it('who is the student asks for nothing more in the first step', async () => {
    using model = await tinyModel(engine);
    const options = { ...settings({ steps: 1 }), distillWeight: 1, distillTemperature: 1.5 };
    const { loss } = await train(model, examples, { ...options, distill: model });
    expect(Math.abs(loss[0]!)).toBeLessThan(1e-6 * largest);
  });

  it('is come closer to, where it is all that is learned from', async () => {
    using model = await tinyModel(engine);
    const { loss } = await train(model, examples, {
      ...settings({ steps: 40, lr: 1e-2 }),
      distill: { logits },
      distillWeight: 1,
    });
    expect(loss.slice(-8).reduce((a, b) => a + b)).toBeLessThan(0.5 * loss.slice(0, 8).reduce((a, b) => a + b));
  });
});

it('without a teacher the loss is that by labels; with one it is between both', async () => {
  const first = async (more: TrainOptions): Promise<number> =>
    (await numbersOf({ ...settings({ steps: 1 }), ...more })).loss[0]!;
  const [byLabels, byTeacher, half] = [
    await first({}),
    await first({ distill: { logits }, distillWeight: 1 }),
    await first({ distill: { logits } }),
  ];
  expect(half).toBeCloseTo((byLabels + byTeacher) / 2, 5);
});

it('four batches of three are one of twelve, examples without a label among them', async () => {
  const some = examples.map((example, i) => (i % 4 === 1 ? { ...example, label: IGNORE_INDEX } : example));
  const more = { distill: { logits }, distillWeight: 0.6, distillTemperature: 3 };
  const apart = { ...settings({ batchSize: 3, gradientAccumulationSteps: 4 }), ...more };
  expectClose(await numbersOf(apart, some), await numbersOf({ ...settings({ batchSize: 12 }), ...more }, some));
});

it('of an example without a label nothing is learned, whatever its scores', async () => {
  const some = examples.map((example, i) => (i % 4 === 1 ? { ...example, label: IGNORE_INDEX } : example));
  const blank = logits.map((value, i) => (Math.floor(i / 3) % 4 === 1 ? NaN : value));
  const with_ = (scores: Float32Array): Promise<Numbers> =>
    numbersOf({ ...settings(), distill: { logits: scores } }, some);
  expect(await with_(blank)).toEqual(await with_(logits));
});

it('a run that was stopped goes on to the same bits, its teacher asked again', async () => {
  using teacher = await tinyModel(engine, tinyOptions({ train: { seed: 3 } }));
  const options = { ...settings({ steps: 40 }), distill: teacher };
  using model = await tinyModel(engine, tinyOptions({ peft: { dropout: 0.3 } }));
  const start = await model.stateDict();
  const expected = await train(model, examples, options);
  const weights = await model.stateDict();
  model.loadStateDict(start);
  const abort = new AbortController();
  const checkpoint = { path: join(dir, 'distilled.safetensors'), resume: true, identity: {} };
  const stop = { signal: abort.signal, onReport: () => abort.abort(), checkpoint };
  await expect(train(model, examples, { ...options, ...stop })).rejects.toThrow(InterruptedError);
  model.loadStateDict(start);
  const resumed = await train(model, examples, { ...options, checkpoint });
  expect(resumed.loss).toEqual(expected.loss);
  expect(await model.stateDict()).toEqual(weights);
});

it('a number is learned from a teacher’s', async () => {
  const rated = examples.map((example, i) => ({ ...example, label: IGNORE_INDEX, values: Float32Array.of(i / 32) }));
  const teacher = { logits: Float32Array.from(rated, (_, i) => i / 32) };
  const open = async (): Promise<PeftModel> =>
    getPeftModel(engine, await loadModel(MODEL), loraConfig({ r: 4, dropout: 0 }), { labels: ['value'] });
  const options = settings({ steps: 3 });
  using plain = await open();
  using taught = await open();
  const expected = await train(plain, rated, options);
  const { loss } = await train(taught, rated, { ...options, distill: teacher, distillWeight: 0.3 });
  loss.forEach((value, step) => expect(value).toBeCloseTo(expected.loss[step]!, 5));
});

it('tells runs apart by the teacher, however its defaults are said, and is none of the estimation’s concern', () => {
  const plain = tinyOptions();
  const taught = tinyOptions({ distill: { distill: 'estimate' } });
  const said = tinyOptions({ distill: { distill: 'estimate', distillWeight: 0.5, distillTemperature: 2 } });
  const more = { distill: 'estimate', distillWeight: 0.5, distillTemperature: 2 };
  expect(numericOptions(taught, 'train')).toEqual({ ...numericOptions(plain, 'train'), ...more });
  expect(numericOptions(said, 'train')).toEqual(numericOptions(taught, 'train'));
  expect(Object.keys(tellingOptions(plain)).filter((key) => key.startsWith('distill'))).toEqual([]);
  const [one, other] = ['here', 'there'].map((distill) =>
    numericOptions(tinyOptions({ distill: { distill } }), 'train'),
  );
  expect(one).toEqual(other);
  expect(numericOptions(taught, 'estimate')).toEqual(numericOptions(plain, 'estimate'));
  expect(estimationOptions(taught)).toEqual(estimationOptions(plain));
  expect(estimateOptionsOf(taught)).toEqual(estimateOptionsOf(plain));
});

describe('is refused:', () => {
  const refused = async (options: TrainOptions, message: RegExp, data?: Parameters<typeof train>[1]): Promise<void> => {
    using model = await tinyModel(engine);
    await expect(train(model, data ?? examples, { ...settings(), ...options })).rejects.toThrow(message);
  };

  it.each(['distillWeight', 'distillTemperature'] as const)('%s without a teacher', async (name) => {
    await refused({ [name]: 1 }, new RegExp(`\`${name}\`: found 1 without a teacher, expected \`distill\` too`));
  });

  it.each([
    ['distillWeight', 0, /`distillWeight`: found 0, expected a number above 0, at most 1/],
    ['distillWeight', 1.5, /`distillWeight`: found 1.5, expected a number above 0, at most 1/],
    ['distillTemperature', 0, /`distillTemperature`: found 0/],
  ])('%s %d', async (name, value, message) => {
    await refused({ distill: { logits }, [name]: value }, message);
  });

  it('scores of other examples or classes', async () => {
    await refused({ distill: { logits: logits.subarray(3) } }, /`distill`: found 93 scores, expected 96/);
  });

  it('an example of the run without scores', async () => {
    const blank = logits.map((value, i) => (Math.floor(i / 3) === 7 ? NaN : value));
    const all = settings({ steps: 8 });
    await refused(
      { ...all, distill: { logits: blank } },
      /`distill`: example 8 is trained on and has no finite scores/,
    );
  });

  it('a teacher of other classes', async () => {
    using teacher = await getPeftModel(engine, await loadModel(MODEL), loraConfig({ r: 4 }), {
      labels: ['a', 'b', 'c'],
    });
    await refused({ distill: teacher }, /`distill`: found a teacher of the classes a, b, c, expected 0, 1, 2/);
  });

  it('several tasks', async () => {
    const tasks = new Map([
      ['one', examples],
      ['two', examples],
    ]);
    await refused({ distill: { logits } }, /`distill`: found 2 tasks, expected one/, tasks);
  });
});
