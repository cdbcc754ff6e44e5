/** Protects: a batch that no device binding can hold runs as micro-batches with the numbers of the whole: losses, weights, importance, scores. */
import { describe, expect, it } from 'vitest';
import type { EncodedExample } from '../../data/encoded-example.ts';
import { Engine } from '../../engine/engine.ts';
import { estimateOptionsOf } from '../../experiments/options.ts';
import { randomBaseModel } from '../../models/base-model.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { parseConfig } from '../../models/config.ts';
import { peftConfig } from '../../peft/create-config.ts';
import { getPeftModel } from '../../peft-model/create.ts';
import { estimate } from '../../train/estimate.ts';
import { evaluate, infer } from '../../train/evaluate.ts';
import { predict } from '../../train/predict.ts';
import { train } from '../../train/train.ts';
import { openTestEngine } from '../engine.ts';
import { MODELS, tinyExamples, tinyModel, tinyOptions, type Changes, type Family } from './tiny.ts';
import { heardWarnings } from '../warnings.ts';

const whole = await openTestEngine();

const warnings = heardWarnings();

/** An engine whose bindings hold so many bytes. */
const lower = (bytes: number): Promise<Engine> => Engine.open({ limits: { maxStorageBufferBindingSize: bytes } });

/** The largest difference, by the largest value. */
function difference(found: readonly number[], expected: readonly number[]): number {
  expect(found.length).toBe(expected.length);
  const scale = Math.max(1e-3, ...expected.map(Math.abs));
  return Math.max(...expected.map((value, i) => Math.abs(value - found[i]!))) / scale;
}

interface Trained {
  readonly losses: readonly number[];
  readonly weights: readonly number[];
  readonly logits: readonly number[];
}

async function trained(
  engine: Engine,
  changes: Changes,
  family: Family = 'roberta',
  length = Infinity,
): Promise<Trained> {
  const options = tinyOptions({ ...changes, train: { steps: 3, batchSize: 10, maxGradNorm: 0.3, ...changes.train } });
  using model = await tinyModel(engine, options, family);
  const cut = (values: Int32Array): Int32Array => values.subarray(0, length);
  const examples = (await tinyExamples(family)).map((e, i) => {
    // Some without a label: micro-batches then count for different shares of the mean.
    const label = i % 3 === 0 ? -100 : e.label;
    return { ...e, ids: cut(e.ids), mask: cut(e.mask), typeIds: cut(e.typeIds), label };
  });
  const { loss } = await train(model, examples, options.train);
  const weights = [...(await model.stateDict()).values()].flatMap((values) => [...values]);
  const { logits } = await infer(model, examples);
  return { losses: loss, weights, logits: [...logits] };
}

describe('training in micro-batches gives the losses and weights of the whole batch', () => {
  it.each<[string, Changes, Family, number?]>([
    ['LoRA with dropout', { peft: { dropout: 0.3 } }, 'roberta'],
    ['rows of an odd length', { peft: { dropout: 0.3 } }, 'opt', 7],
    [
      'bottleneck adapters with dropout, layers checkpointed',
      { peft: { method: 'adapter', dropout: 0.3 }, train: { gradientCheckpointing: true } },
      'bert',
    ],
  ])('%s', async (_, changes, family, length) => {
    const expected = await trained(whole, changes, family, length);
    expect(warnings).toEqual([]);
    using small = await lower(family === 'roberta' ? 28_000 : 18_000);
    const found = await trained(small, changes, family, length);
    expect(difference(found.losses, expected.losses)).toBeLessThan(1e-5);
    expect(difference(found.weights, expected.weights)).toBeLessThan(1e-5);
    expect(difference(found.logits, expected.logits)).toBeLessThan(1e-5);
    expect(warnings.length).toBeGreaterThan(0);
    expect(warnings[0]).toMatch(
      /^train .*: batches of 10 × \d+ run as \d micro-batches of \d rows, with the same result$/,
    );
  });
});

it('an estimation in micro-batches finds the same masks and importance, the penalty counted once a step', async () => {
  const run = async (engine: Engine): Promise<number[][]> => {
    const options = tinyOptions({ peft: { dropout: 0.2 }, train: { batchSize: 10 }, estimate: { l1: 0.05 } });
    using model = await tinyModel(engine, options);
    const found = await estimate(model, await tinyExamples(), estimateOptionsOf(options));
    const { heads, neurons, modules, ranks, units, result } = found;
    // `difference` takes values below a thousandth for nothing.
    const others = Object.values(units!).flatMap((table) =>
      [table.heads, table.neurons].map((rows) => relative(rows.flat())),
    );
    const own = [heads.flat(), neurons.flat(), Object.values(modules), Object.values(ranks).flat()];
    return [...own, [...result.loss], ...others];
  };
  const relative = (values: readonly number[]): number[] => values.map((value) => value / Math.max(...values));
  const expected = await run(whole);
  using small = await lower(28_000);
  const found = await run(small);
  expect(warnings).toHaveLength(1);
  expect(found).toHaveLength(13);
  found.forEach((values, i) => expect(difference(values, expected[i]!)).toBeLessThan(1e-5));
});

describe('language models', () => {
  /** Rows of very different lengths, so that micro-batches predict very different numbers of tokens. */
  const rows = Array.from({ length: 8 }, (_, i): EncodedExample => {
    const ids = Int32Array.from({ length: 2 + 2 * (i % 7) }, (__, t) => 5 + ((7 * i + 3 * t) % 50));
    return { ids, mask: ids.map(() => 1), typeIds: ids.map(() => 0), label: -100, tokenLabels: ids.slice() };
  });

  it('weigh micro-batches by their tokens, in training, evaluation and prediction', async () => {
    const run = async (engine: Engine): Promise<number[][]> => {
      const head = { head: 'causal-lm', labels: [], seed: 0 } as const;
      const peft = peftConfig({ r: 4, dropout: 0.2, targetModules: ['q_proj', 'v_proj'] });
      using model = await getPeftModel(engine, await loadModel(MODELS.opt), peft, head);
      const { loss } = await train(model, rows, { steps: 3, batchSize: 8, lr: 1e-2, seed: 0 });
      const { metrics } = await evaluate(model, rows);
      const scores: number[] = [];
      for await (const [window] of predict(model, { examples: rows, firsts: rows.map((_, i) => i) }))
        scores.push(...(window!.scores as number[][]).flat());
      return [[...loss], [(metrics as { loss: number }).loss], scores];
    };
    const expected = await run(whole);
    using small = await lower(12_000);
    const found = await run(small);
    found.forEach((values, i) => expect(difference(values, expected[i]!)).toBeLessThan(1e-5));
    expect(warnings.length).toBeGreaterThan(0);
  });
});

it('scores do not depend on the batch size that is asked for', async () => {
  using model = await tinyModel(whole);
  const examples = (await tinyExamples()).slice(0, 9);
  const [expected, found] = [await infer(model, examples), await infer(model, examples, {}, { batchSize: 4 })];
  expect(difference([...found.logits], [...expected.logits])).toBeLessThan(1e-6);
});

describe('a single row that does not fit', () => {
  const sizes = { vocab_size: 50, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64 };
  const config = parseConfig({ model_type: 'roberta', ...sizes, max_position_embeddings: 66 }, 'config.json');
  const rows = [60, 3].map((length): EncodedExample => {
    const ids = new Int32Array(length).fill(7);
    return { ids, mask: ids.map(() => 1), typeIds: ids.map(() => 0), label: 0 };
  });

  it('is refused with the length that does, in training and inference', async () => {
    using small = await lower(8192);
    const base = randomBaseModel(small, config, () => 0.01);
    using model = await getPeftModel(small, base, peftConfig({ r: 2 }), { head: 'classification', labels: ['0', '1'] });
    const refused =
      /^A row of 64 tokens is too long: .* takes 16384 bytes, .* at most 8192 bytes\. Set .*max.?length.* to 32\.$/i;
    await expect(infer(model, rows)).rejects.toThrow(refused);
    await expect(train(model, rows, { steps: 1, batchSize: 4 })).rejects.toThrow(refused);
    const { logits } = await infer(model, [{ ...rows[0]!, ids: rows[0]!.ids.subarray(0, 32) }, rows[1]!]);
    expect(logits).toHaveLength(4);
  });
});
