/** Protects: log-likelihoods of answers, one number an example, against transformers' and PEFT's logits; batches in parts; figures from them. */
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { EncodedExample } from '../../data/encoded-example.ts';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { PeftModel, type ForwardOptions } from '../../peft-model/peft-model.ts';
import { decide } from '../../pruning/decide.ts';
import { MaskedPlan } from '../../pruning/masked-plan.ts';
import { evaluate, logLikelihoods } from '../../train/evaluate.ts';
import { openTestEngine } from '../engine.ts';

const FAMILIES = join(import.meta.dirname, '..', 'goldens', 'families');
const VOCABULARY = 120;

const engine = await openTestEngine();

/** A batch's rows as examples whose last tokens are an answer, and what transformers gives those. */
async function golden(folder: string, method: string): Promise<{ examples: EncodedExample[]; expected: number[] }> {
  const inputs = await openSafetensors(join(folder, 'batch.safetensors'));
  const [rows, seq] = inputs.info('input_ids').shape as [number, number];
  const inputIds = await inputs.readInt32('input_ids');
  const mask = await inputs.readInt32('attention_mask');
  await inputs.close();
  const outputs = await openSafetensors(join(folder, 'logits.safetensors'));
  const logits = await outputs.readFloat32(method);
  await outputs.close();
  const all = Array.from({ length: rows }, (_, row) => {
    const length = mask.subarray(row * seq, (row + 1) * seq).lastIndexOf(1) + 1;
    const ids = inputIds.slice(row * seq, row * seq + length);
    // Answers of different lengths: of the last row one token.
    const first = row === rows - 1 ? length - 1 : 1 + row;
    const score = (at: number): number => logOf(logits, (row * seq + at - 1) * VOCABULARY, ids[at]!);
    const expected = Array.from({ length: length - first }, (_, i) => score(first + i)).reduce((a, b) => a + b, 0);
    const ones = new Int32Array(length).fill(1);
    const tokenLabels = ids.map((id, i) => (i < first ? -100 : id));
    return { example: { ids, mask: ones, typeIds: new Int32Array(length), label: -100, tokenLabels }, expected };
  });
  return { examples: all.map(({ example }) => example), expected: all.map(({ expected }) => expected) };
}

/** The log of a token's probability, in double precision. */
function logOf(logits: Float32Array, start: number, token: number): number {
  const scores = Array.from(logits.subarray(start, start + VOCABULARY));
  const top = Math.max(...scores);
  return scores[token]! - top - Math.log(scores.reduce((sum, x) => sum + Math.exp(x - top), 0));
}

describe.each(['opt-lm', 'gpt2-lm', 'llama-lm'])('%s', (name) => {
  const folder = join(FAMILIES, name);
  it.each(['base', 'lora', 'ia3'])('%s', async (method) => {
    const { examples, expected } = await golden(folder, method);
    const adapter = method === 'base' ? undefined : join(folder, 'adapters', method);
    using model = await PeftModel.fromPretrained(engine, await loadModel(join(folder, 'model')), adapter);
    const { scores } = await logLikelihoods(model, examples, { batchSize: 2 });
    scores.forEach(([score], i) => expect(score).toBeCloseTo(expected[i]!, 3));
  });
});

it('under the masks of a plan, likelihoods and perplexity are those of the pruned model', async () => {
  const folder = join(FAMILIES, 'llama-lm');
  const { examples } = await golden(folder, 'lora');
  using model = await PeftModel.fromPretrained(engine, await loadModel(join(folder, 'model')), join(folder, 'adapters', 'lora')); // prettier-ignore
  const { layers, config } = model.base;
  const { modules } = model.method!;
  const scores = {
    heads: layers.map(({ heads }) => Array.from({ length: heads }, (_, i) => (i * 7) % 5)),
    neurons: layers.map(({ neurons }) => Array.from({ length: neurons }, (_, i) => (i * 37) % 101)),
    modules: Object.fromEntries(modules.map(({ name }) => [name, 1])),
    ranks: Object.fromEntries(modules.map(({ name, ranks }) => [name, Array<number>(ranks).fill(1)])),
    headsPerGroup: config.numHeads / config.kvHeads,
  };
  const decision = decide(scores, { heads: 0.5, neurons: 0.5, modules: 0, ranks: 0 });
  const text = {
    kind: 'choices',
    choices: [examples.length],
    figures: (sums: readonly Float32Array[]) => ({ count: sums.length, loss: sums.reduce((sum, [x]) => sum + x!, 0) }),
  } as const;
  const losses = async (of: PeftModel, forward?: ForwardOptions): Promise<number[]> => {
    const found = [await evaluate(of, examples, { text, forward }), await evaluate(of, examples, { forward })];
    return found.map(({ metrics }) => metrics.loss);
  };
  const whole = await losses(model);
  using masked = new MaskedPlan(engine, layers, decision, modules);
  const soft = await losses(model, masked.options());
  using pruned = await model.prune(decision, { seed: 0 });
  const hard = await losses(pruned);
  soft.forEach((loss, i) => {
    expect(Math.abs(loss / whole[i]! - 1)).toBeGreaterThan(1e-3);
    expect(loss).toBeCloseTo(hard[i]!, 4);
  });
});

describe('the evaluation of choices', () => {
  let model: PeftModel;
  beforeAll(async () => {
    model = await PeftModel.fromPretrained(engine, await loadModel(join(FAMILIES, 'llama-lm', 'model')));
  });

  it('gives the figures that the data makes of the likelihoods, and these', async () => {
    const { examples, expected } = await golden(join(FAMILIES, 'llama-lm'), 'base');
    const figures = (scores: readonly Float32Array[]): { count: number; loss: number } => ({
      count: scores.length,
      loss: scores[0]![0]!,
    });
    const text = { kind: 'choices', choices: [examples.length], figures } as const;
    const { metrics, scores } = await evaluate(model, examples, { text });
    expect(metrics).toEqual({ count: examples.length, loss: scores![0]![0] });
    expect(metrics.loss).toBeCloseTo(expected[0]!, 3);
  });
});
