/**
 * Protects: evaluation while training changes no number of it; the best weights give again what was measured with them; early stopping; and a
 * run stopped in the middle with all of that goes on to the same bits.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EncodedExample } from '../../data/encoded-example.ts';
import type { Examples } from '../../data/example-store.ts';
import type { EvaluationRecord, StepRecord } from '../../train/callbacks.ts';
import { estimateOptionsOf, numericOptions } from '../../experiments/options.ts';
import { evaluate } from '../../train/evaluate.ts';
import { InterruptedError } from '../../train/loop.ts';
import type { CheckpointOptions, TrainOptions } from '../../train/options.ts';
import { train } from '../../train/train.ts';
import { openTestEngine } from '../engine.ts';
import { tinyExamples, tinyModel, tinyOptions, type Changes } from './tiny.ts';

const engine = await openTestEngine();
const examples = await tinyExamples();
const [learned, judged] = [examples.slice(0, 20), examples.slice(20)];
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'evaluations-'));
});
afterAll(() => rm(dir, { recursive: true }));

const CHANGES: Changes = { peft: { dropout: 0.1 }, train: { steps: 21, lr: 2e-2 } };
const plain = tinyOptions(CHANGES);
const evaluation = { examples: judged };
const bySteps = { ...plain.train, evalStrategy: 'steps', evalSteps: 4, evaluation } as const;

it('changes no number of the training, with dropout on in it and off in the evaluation', async () => {
  using model = await tinyModel(engine, plain);
  const expected = await train(model, learned, plain.train);
  using evaluated = await tinyModel(engine, plain);
  const told: EvaluationRecord[] = [];
  const onEvaluate = (record: EvaluationRecord): void => void told.push(record);
  const result = await train(evaluated, learned, { ...bySteps, callbacks: [{ onEvaluate }] });
  expect(result.loss).toEqual(expected.loss);
  expect(await evaluated.stateDict()).toEqual(await model.stateDict());
  // Every fourth step, and the last.
  expect(result.evaluations.map(({ step }) => step)).toEqual([4, 8, 12, 16, 20, 21]);
  expect(told).toEqual(result.evaluations);
  const { confusion: _, ...figures } = (await evaluate(evaluated, judged)).metrics as Record<string, unknown>;
  expect(told.at(-1)!.metrics).toEqual(figures);
});

it('compiles its programs once, and frees them', async () => {
  using model = await tinyModel(engine, plain);
  // The arena stays as large as it was needed.
  const bytes = (): unknown => ({ ...engine.memory.byKind(), activations: 0 });
  const before = bytes();
  const built: string[] = [];
  engine.observer = { built: ({ name }) => Promise.resolve(void built.push(name)) };
  await train(model, learned, bySteps);
  engine.observer = undefined;
  const evaluating = built.filter((name) => name.startsWith('infer '));
  expect(evaluating.length).toBeGreaterThan(0);
  expect(new Set(evaluating).size).toBe(evaluating.length);
  expect(bytes()).toEqual(before);
});

it('after every epoch, and ends with the best weights', async () => {
  using model = await tinyModel(engine, plain);
  const options = { ...plain.train, evalStrategy: 'epoch', evaluation, loadBestModel: true } as const;
  const { evaluations, best } = await train(model, learned, { ...options, metricForBestModel: 'eval_loss' });
  expect(evaluations.map(({ step, epoch }) => [step, epoch])).toEqual([
    [5, 1],
    [10, 2],
    [15, 3],
    [20, 4],
    [21, 4.2],
  ]);
  const losses = evaluations.map(({ metrics }) => metrics.loss!);
  expect(best).toMatchObject({ metric: 'loss', value: Math.min(...losses), isLoaded: true });
  // Else nothing would be tested.
  expect(best!.step).toBeLessThan(21);
  expect((await evaluate(model, judged)).metrics.loss).toBe(best!.value);
});

const stopping = {
  ...bySteps,
  steps: 60,
  evalSteps: 5,
  metricForBestModel: 'loss',
  loadBestModel: true,
  earlyStoppingPatience: 3,
  saveTotalLimit: 2,
} as const satisfies TrainOptions;

it('stopped in the middle and resumed, again and again, equals a run without a stop', async () => {
  const place = (name: string): TrainOptions['checkpoint'] => ({
    path: join(dir, name, 'checkpoint.safetensors'),
    resume: true,
    identity: numericOptions(tinyOptions(CHANGES), 'train'),
  });
  const folders = async (name: string): Promise<string[]> =>
    (await readdir(join(dir, name))).filter((file) => file !== 'checkpoint.safetensors').sort();
  using whole = await tinyModel(engine, plain);
  const expected = await train(whole, learned, { ...stopping, checkpoint: place('whole') });
  expect(expected.steps).toBeLessThan(60);
  expect(expected.evaluations.slice(-3).map(({ isBest }) => isBest)).toEqual([false, false, false]);
  expect(expected.best!.step).toBe(expected.steps - 15);
  expect(await folders('whole')).toContain(`checkpoint-${expected.best!.step}`);
  let stops = 0;
  for (;;) {
    using model = await tinyModel(engine, plain);
    const abort = new AbortController();
    // After every evaluation, and after steps between two.
    const stop = (): void => abort.abort();
    const callbacks = [{ [stops % 2 ? 'onEvaluate' : 'onStep']: stop }];
    try {
      const checkpoint = place('stopped');
      const result = await train(model, learned, { ...stopping, signal: abort.signal, callbacks, checkpoint });
      expect(result.loss).toEqual(expected.loss);
      expect(result.evaluations).toEqual(expected.evaluations);
      expect(result.best).toEqual(expected.best);
      expect(await model.stateDict()).toEqual(await whole.stateDict());
      break;
    } catch (error) {
      if (!(error instanceof InterruptedError)) throw error;
      stops++;
    }
  }
  expect(stops).toBeGreaterThan(2);
  expect(await folders('stopped')).toEqual(await folders('whole'));
});

/** Examples that tell when they are read. */
function watched(onRead: () => void): Examples {
  const at = (index: number): EncodedExample | undefined => {
    onRead();
    return judged[index];
  };
  return { length: judged.length, at, [Symbol.iterator]: () => judged[Symbol.iterator]() };
}

/** All batches are read to compile for them, then one by one to score them: of the third of six the first example. */
const STOPPING_READ = 2 * judged.length - 7;

it.each([
  ['of the way', 10, {}],
  ['that is the best', 5, { metricForBestModel: 'eval_loss' }],
  ['after the last step', 12, {}],
])('stopped in an evaluation %s, it is made anew on resuming', async (name, stopAt, change) => {
  const options = { ...stopping, ...change, steps: 12, earlyStoppingPatience: 9 } as const;
  const place = (run: string): CheckpointOptions => ({
    path: join(dir, `${name}-${run}`, 'checkpoint.safetensors'),
    resume: true,
    identity: {},
  });
  const outcome = async (run: string, given: TrainOptions): Promise<unknown[]> => {
    using model = await tinyModel(engine, plain);
    const { loss, evaluations, best } = await train(model, learned, { ...given, checkpoint: place(run) });
    const kept = (await readdir(join(dir, `${name}-${run}`))).filter((file) => file.startsWith('checkpoint-'));
    return [loss, evaluations, best, await model.stateDict(), kept.sort()];
  };
  const abort = new AbortController();
  let [seen, reads] = [0, 0];
  const onStep = ({ step }: StepRecord): void => void (seen = step);
  const examplesOf = watched(() => {
    if (seen === stopAt && ++reads === STOPPING_READ) abort.abort();
  });
  const heard = { signal: abort.signal, callbacks: [{ onStep }], evaluation: { examples: examplesOf, batchSize: 2 } };
  await expect(outcome('cut', { ...options, ...heard })).rejects.toThrow(
    `Interrupted in the evaluation after step ${stopAt} of 12. The checkpoint of step ${stopAt} is kept`,
  );
  // The batch of two was read to its end, others were not.
  expect(reads).toBe(STOPPING_READ + 1);
  const small = { evaluation: { examples: judged, batchSize: 2 } };
  const expected = await outcome('whole', { ...options, ...small });
  expect(await outcome('cut', { ...options, ...small })).toEqual(expected);
});

it('stopped in the evaluation after a callback ended the run, the callback ends it again', async () => {
  const checkpoint = { path: join(dir, 'ended', 'checkpoint.safetensors'), resume: true, identity: {} };
  const onStep = ({ step }: StepRecord): unknown => (step >= 7 ? 'stop' : undefined);
  const steps = async (more: TrainOptions): Promise<number> => {
    using model = await tinyModel(engine, plain);
    const options = { ...bySteps, saveEvery: 3, loadBestModel: false, checkpoint, callbacks: [{ onStep }] };
    return (await train(model, learned, { ...options, ...more })).steps;
  };
  const abort = new AbortController();
  let seen = 0;
  const told = { onStep: ({ step }: StepRecord): void => void (seen = step) };
  const examplesOf = watched(() => seen >= 7 && abort.abort());
  const heard = { signal: abort.signal, callbacks: [{ onStep }, told], evaluation: { examples: examplesOf } };
  await expect(steps(heard)).rejects.toThrow(
    /Interrupted in the evaluation after step 8 .*checkpoint of step 6 is kept/,
  );
  expect(await steps({})).toBe(8);
});

it('a callback stops the run at an evaluation', async () => {
  using model = await tinyModel(engine, plain);
  const { steps } = await train(model, learned, { ...bySteps, callbacks: [{ onEvaluate: () => 'stop' }] });
  expect(steps).toBe(4);
});

it.each<[string, Partial<TrainOptions>, RegExp]>([
  [
    'a metric with a wrong letter',
    { metricForBestModel: 'acuracy' },
    /found "acuracy", did you mean "accuracy"\?, expected one of accuracy, f1, .*loss$/,
  ],
  [
    'a metric of another task',
    { metricForBestModel: 'perplexity' },
    /`metricForBestModel`: found "perplexity", expected one of/,
  ],
  [
    'no data',
    { evaluation: undefined },
    /`evalStrategy` steps: there is nothing to evaluate on, give `eval` or `selectionSplit`/,
  ],
  ['steps without a number', { evalSteps: undefined }, /`evalStrategy` steps: give `evalSteps` too/],
  ['steps by epoch', { evalStrategy: 'epoch' }, /`evalSteps`: found `evalStrategy` epoch, expected steps/],
  [
    'patience alone',
    { evalStrategy: 'no', evalSteps: undefined, earlyStoppingPatience: 2 },
    /`earlyStoppingPatience`: needs evaluations while training/,
  ],
  [
    'the best of none',
    { evalStrategy: 'no', evalSteps: undefined, loadBestModel: true },
    /`loadBestModel`: needs evaluations/,
  ],
  ['a threshold alone', { earlyStoppingThreshold: 0.1 }, /`earlyStoppingThreshold`: needs `earlyStoppingPatience`/],
  ['a limit of none', { saveTotalLimit: 0 }, /`saveTotalLimit`: found 0, expected/],
  ['a limit without a place', { saveTotalLimit: 1 }, /`saveTotalLimit`: needs `checkpoint`/],
  [
    'no saves',
    { evalStrategy: 'no', evalSteps: undefined, saveTotalLimit: 1 },
    /`saveTotalLimit`: needs `saveEvery` or `evalStrategy`/,
  ],
])('refuses %s', async (_, change, message) => {
  using model = await tinyModel(engine, plain);
  await expect(train(model, learned, { ...bySteps, ...change })).rejects.toThrow(message);
});

it('tells runs apart by what is evaluated where that can end them, and is none of the estimation’s concern', () => {
  const evaluated = tinyOptions({ train: { evalStrategy: 'epoch', saveTotalLimit: 3 } });
  expect(numericOptions(evaluated, 'train')).toMatchObject({ evalStrategy: 'epoch', maxAnswerLength: 30 });
  expect(numericOptions(evaluated, 'train')).not.toHaveProperty('saveTotalLimit');
  expect(numericOptions(evaluated, 'estimate')).toEqual(numericOptions(tinyOptions(), 'estimate'));
  expect(numericOptions(tinyOptions({ train: { evalStrategy: 'no' } }), 'train')).toEqual(
    numericOptions(tinyOptions(), 'train'),
  );
  expect(estimateOptionsOf(evaluated)).toEqual(estimateOptionsOf(tinyOptions()));
});
