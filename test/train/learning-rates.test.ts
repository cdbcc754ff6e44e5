/** Protects: a head that is frozen is saved with the adapter all the same; masks have learning rates of their own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { estimateOptionsOf } from '../../experiments/options.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { decide } from '../../pruning/decide.ts';
import { estimate } from '../../train/estimate.ts';
import { infer } from '../../train/evaluate.ts';
import { train } from '../../train/train.ts';
import { openTestEngine } from '../engine.ts';
import { MODEL, tinyExamples, tinyModel, tinyOptions } from './tiny.ts';

const engine = await openTestEngine();
const examples = (await tinyExamples()).slice(0, 8);
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rates-'));
});
afterAll(() => rm(dir, { recursive: true }));

it('a frozen head is saved as it was, and comes back', async () => {
  // A seed that no other has: a head that is drawn anew would differ.
  const options = tinyOptions({ train: { steps: 3, freezeHead: true, seed: 41, initSeed: 43 } });
  using model = await tinyModel(engine, options);
  const before = await model.stateDict();
  await train(model, examples, options.train);
  await model.savePretrained(dir);
  const file = await openSafetensors(join(dir, 'adapter_model.safetensors'));
  expect(file.names.filter((name) => name.includes('classifier'))).toHaveLength(4);
  await file.close();
  using loaded = await PeftModel.fromPretrained(engine, await loadModel(MODEL), dir);
  const after = await loaded.stateDict();
  const heads = [...before.keys()].filter((name) => name.startsWith('classifier'));
  expect(heads).toHaveLength(4);
  for (const name of heads) expect(after.get(name), name).toEqual(before.get(name));
  expect(after).toEqual(await model.stateDict());
  expect((await infer(loaded, examples)).logits).toEqual((await infer(model, examples)).logits);
});

it.each([
  [1, 1],
  [4, 0],
  [0, 2.5],
])('masks of heads step by %d times the learning rate, those of neurons by %d', async (headsMaskLr, ffnMaskLr) => {
  const lr = 1e-2;
  const changes = {
    train: { lr, schedule: 'constant' },
    estimate: { estimateSteps: 1, headsMaskLr, ffnMaskLr },
  } as const;
  const options = tinyOptions(changes);
  using model = await tinyModel(engine, options);
  const { heads, neurons } = await estimate(model, examples, estimateOptionsOf(options));
  // Adam's first step has the size of the learning rate, whatever the gradient.
  const steps = (masks: readonly (readonly number[])[]): number[] => masks.flat().map((mask) => Math.abs(1 - mask));
  for (const step of steps(heads)) expect(step).toBeCloseTo(headsMaskLr * lr, 4);
  for (const step of steps(neurons)) expect(step).toBeCloseTo(ffnMaskLr * lr, 4);
});

it.each([
  [undefined, 1],
  ['none', 1],
  ['sqrt', 2],
  ['linear', 4],
] as const)(
  'with lrScaling %s, what is left of the modules steps by %d times the rate, the head by one',
  async (lrScaling, times) => {
    const lr = 1e-2;
    const options = tinyOptions({ train: { lr, schedule: 'constant', steps: 1, lrScaling } });
    const whole = await tinyModel(engine, options);
    const scores = await estimate(whole, examples, estimateOptionsOf(options));
    using model = await whole.prune(decide(scores, { heads: 0, neurons: 0, modules: 0.5, ranks: 0.5 }));
    const before = await model.stateDict();
    await train(model, examples, options.train);
    const after = await model.stateDict();
    for (const [name, values] of before) {
      const largest = Math.max(...values.map((value, i) => Math.abs(value - after.get(name)![i]!)));
      // Adam's first step has the size of the learning rate, whatever the gradient.
      expect(largest, name).toBeCloseTo(lr * (name.includes('lora') ? times : 1), 3);
    }
  },
);
