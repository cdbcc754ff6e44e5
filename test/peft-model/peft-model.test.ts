/** Protects: who owns what of a model — a pruned one goes into another, disposing is harmless twice, extra parameters leave no trace. */
import { expect, it } from 'vitest';
import { decisionOf } from '../../experiments/runner.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import type { Decision } from '../../pruning/decide.ts';
import { infer } from '../../train/evaluate.ts';
import { train } from '../../train/train.ts';
import { openTestEngine } from '../engine.ts';
import { tinyExamples, tinyModel, tinyOptions } from '../train/tiny.ts';

const engine = await openTestEngine();
const examples = await tinyExamples();

/** Half of everything, by scores that fall. */
function halved({ base, method }: PeftModel): Decision {
  const falling = (n: number): number[] => Array.from({ length: n }, (_, i) => n - i);
  const { modules } = method!;
  const scores = {
    heads: base.layers.map(({ heads }) => falling(heads)),
    neurons: base.layers.map(({ neurons }) => falling(neurons)),
    modules: Object.fromEntries(modules.map(({ name }, i) => [name, i])),
    ranks: Object.fromEntries(modules.map(({ name, ranks }) => [name, falling(ranks)])),
  };
  const options = tinyOptions({ decide: { heads: 0.5, neurons: 0.5, modules: 0.5, ranks: 0.5 } });
  return decisionOf(scores, options, 'light-peft');
}

it('a model that was pruned into another throws when it is used', async () => {
  using whole = await tinyModel(engine);
  using pruned = await whole.prune(halved(whole));
  const gone = /this model was pruned into another: it cannot be used any more/;
  expect(() => whole.parameters).toThrow(gone);
  await expect(whole.stateDict()).rejects.toThrow(gone);
  await expect(whole.prune(halved(whole))).rejects.toThrow(gone);
  await expect(infer(whole, examples)).rejects.toThrow(gone);
  await expect(train(whole, examples, { steps: 1 })).rejects.toThrow(gone);
  const before = (await infer(pruned, examples)).logits;
  whole.dispose();
  expect((await infer(pruned, examples)).logits).toEqual(before);
});

it('disposing frees everything, and is harmless when done twice', async () => {
  const before = engine.memory.current;
  const model = await tinyModel(engine);
  expect(engine.memory.current).toBeGreaterThan(before);
  model.dispose();
  expect(engine.memory.current).toBe(before);
  model.dispose();
  expect(engine.memory.current).toBe(before);
  expect(() => model.parameters).toThrow(/this model was disposed of/);
});

it('disposing of a model on a shared base leaves the base', async () => {
  using owner = await tinyModel(engine);
  const before = (await infer(owner, examples)).logits;
  const { base, method, peft, head, labels } = owner;
  const values = await owner.stateDict();
  const other = new PeftModel(engine, { base, shared: true }, { method, peft, head, labels, values });
  await other.merge();
  other.dispose();
  expect((await infer(owner, examples)).logits).toEqual(before);
});

it('parameters that trained beside the model’s own are gone afterwards, also when the work fails', async () => {
  using model = await tinyModel(engine);
  const before = await model.stateDict();
  const held = engine.memory.current;
  const extra = [{ name: 'masks.extra', shape: [3], data: Float32Array.of(1, 2, 3), decay: false }];
  const names = [...before.keys()];
  const found = await model.withParameters(extra, async () => {
    expect(model.parameters.all.map(({ name }) => name)).toEqual([...names, 'masks.extra']);
    return engine.read(model.parameters.get('masks.extra'));
  });
  expect(found).toEqual(Float32Array.of(1, 2, 3));
  expect(await model.stateDict()).toEqual(before);
  await expect(model.withParameters(extra, () => Promise.reject(new Error('failed work')))).rejects.toThrow(
    'failed work',
  );
  expect(await model.stateDict()).toEqual(before);
  expect(engine.memory.current).toBe(held);
});

it('what the model’s own parameters learn beside others stays', async () => {
  using model = await tinyModel(engine);
  const [first] = model.parameters.all;
  const values = new Float32Array((await engine.read(first!)).length).fill(0.5);
  await model.withParameters([], () => {
    engine.write(model.parameters.get(first!.name), values);
    return Promise.resolve();
  });
  expect((await model.stateDict()).get(first!.name)).toEqual(values);
});
