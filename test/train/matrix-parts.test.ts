/** Protects: frozen matrices that one binding cannot hold are used in parts, with the numbers of the whole, in every stage. */
import { describe, expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { estimateOptionsOf } from '../../experiments/options.ts';
import { decide } from '../../pruning/decide.ts';
import { prune } from '../../peft-model/prune.ts';
import { estimate } from '../../train/estimate.ts';
import { infer } from '../../train/evaluate.ts';
import { train } from '../../train/train.ts';
import { assertClose } from '../../engine/testing/index.ts';
import { openTestEngine } from '../engine.ts';
import { heardWarnings } from '../warnings.ts';
import { tinyExamples, tinyModel, tinyOptions, type Family } from './tiny.ts';

const whole = await openTestEngine();
heardWarnings();

/** Below the 8,192 bytes of a matrix of the feed-forward network, above a row's activations. */
const LIMIT = 7000;

interface Found {
  /** Most parts of a matrix. */
  readonly parts: number;
  readonly logits: Float32Array;
  readonly losses: readonly number[];
  readonly weights: readonly number[];
  readonly importance: readonly number[];
  readonly pruned: Float32Array;
}

/** What every stage computes: predictions, a training, an estimation, and the predictions of what it leaves. */
async function stages(engine: Engine, family: Family): Promise<Found> {
  const options = tinyOptions({ peft: { dropout: 0.2 }, train: { steps: 2, batchSize: 2 } });
  const examples = (await tinyExamples(family)).slice(0, 6);
  using model = await tinyModel(engine, options, family);
  const parts = [...model.base.weights.keys()].map((name) => model.base.table(name).length);
  const { logits } = await infer(model, examples);
  const { loss } = await train(model, examples, options.train);
  const weights = [...(await model.stateDict()).values()].flatMap((values) => [...values]);
  const scores = await estimate(model, examples, estimateOptionsOf(options));
  const { magnitude, activation } = scores.units!;
  const units = [magnitude!, activation!].flatMap((table) => [...table.heads, ...table.neurons]);
  const importance = [...scores.heads, ...scores.neurons, ...Object.values(scores.ranks), ...units].flat();
  using pruned = await prune(model, decide(scores, { heads: 0.25, neurons: 0.25, modules: 0, ranks: 0.5 }));
  return {
    parts: Math.max(...parts),
    logits,
    losses: loss,
    weights,
    importance,
    pruned: (await infer(pruned, examples)).logits,
  };
}

describe('matrices over the binding limit', () => {
  it.each<Family>(['llama', 'gpt2', 'roberta'])('of %s', async (family) => {
    using small = await Engine.open({ limits: { maxStorageBufferBindingSize: LIMIT } });
    const [expected, found] = [await stages(whole, family), await stages(small, family)];
    expect([expected.parts, found.parts]).toEqual([1, 2]);
    for (const key of ['logits', 'losses', 'weights', 'importance', 'pruned'] as const)
      assertClose(Float32Array.from(found[key]), Float32Array.from(expected[key]), 1e-4);
  });
});
