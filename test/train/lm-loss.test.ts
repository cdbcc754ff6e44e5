/** Protects: the loss of language models — shifted, −100 left out, mean over counted tokens — and its gradients. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { gradients } from '../../engine/autograd/gradients.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { crossEntropy } from '../../engine/ops/cross-entropy.ts';
import { DataLoader, type Batch } from '../../data/data-loader.ts';
import { encodeLanguageFile } from '../../data/lm/encode.ts';
import { objectiveOf } from '../../data/objective.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { logitsSession } from '../../peft-model/inference-session.ts';
import { PeftModel, type BatchInputs } from '../../peft-model/peft-model.ts';
import { evaluate } from '../../train/evaluate.ts';
import { train } from '../../train/train.ts';
import { openTestEngine } from '../engine.ts';

const FAMILIES = join(import.meta.dirname, '..', 'goldens', 'families');
const VOCABULARY = 120;
const MAX_LENGTH = 16;

const engine = await openTestEngine();

/** Token lists of different lengths; some tokens are not to be learned. */
const rows = [5, 9, 16, 2, 12].map((length, line) => {
  const inputIds = Array.from({ length }, (_, i) => 3 + ((i * 31 + line * 17) % (VOCABULARY - 3)));
  const attentionMask = inputIds.map(() => 1);
  return {
    line,
    inputIds,
    attentionMask,
    labels: inputIds.map((id, i) => (i > 1 && (i + line) % 3 === 0 ? -100 : id)),
  };
});
const examples = await encodeLanguageFile(
  { path: 'tokens.jsonl', rows },
  { maxLength: MAX_LENGTH, vocabSize: VOCABULARY, tokenizer: undefined, endId: undefined },
);

async function load(name: string): Promise<PeftModel> {
  const folder = join(FAMILIES, name);
  const checkpoint = await loadModel(join(folder, 'model'));
  return PeftModel.fromPretrained(engine, checkpoint, join(folder, 'adapters', 'lora'));
}

/** Sum over counted tokens of −log of the next token's probability, in double precision, and how many were counted. */
function lossOf(logits: Float32Array, batch: Batch): { sum: number; count: number } {
  let [sum, count] = [0, 0];
  for (let row = 0; row < batch.count; row++) {
    const { inputIds, labels } = rows[batch.indices[row]!]!;
    for (let t = 1; t < inputIds.length; t++) {
      if (labels[t] === -100) continue;
      const start = (row * batch.seq + t - 1) * VOCABULARY;
      const scores = Array.from(logits.subarray(start, start + VOCABULARY));
      const top = Math.max(...scores);
      sum += top + Math.log(scores.reduce((z, x) => z + Math.exp(x - top), 0)) - scores[labels[t]!]!;
      count++;
    }
  }
  return { sum, count };
}

const batchesOf = ({ base }: PeftModel, batchSize: number): DataLoader => {
  const { padTokenId: padId } = base.config;
  return new DataLoader(examples, { batchSize, order: 'file', seed: 0, padId, maxLength: MAX_LENGTH });
};

async function hostLoss(model: PeftModel, batch: Batch): Promise<number> {
  using session = logitsSession(model);
  const { sum, count } = lossOf(await session.run(batch), batch);
  return sum / count;
}

type LossOf = (inputs: BatchInputs, labels: Tensor) => Tensor;

/** A loss and its gradients with respect to all parameters. */
async function lossAndGradients(model: PeftModel, batch: Batch, lossFor: LossOf): Promise<Map<string, Float32Array>> {
  const parameters = model.parameters.all;
  const labels = objectiveOf(model).labels(batch.batch, batch.seq);
  const program = await engine.compile('loss', { ...model.inputSpecs(batch.batch, batch.seq), labels }, (inputs) => {
    const loss = lossFor(inputs, inputs.labels);
    const grads = gradients(
      loss,
      parameters.map(({ tensor }) => tensor),
    );
    return { outputs: { loss, ...Object.fromEntries(parameters.map(({ name }, i) => [name, grads[i]!])) } };
  });
  program.run({ ...model.inputValues(batch), labels: batch.labels });
  const values = new Map<string, Float32Array>();
  for (const name of ['loss', ...parameters.map(({ name }) => name)]) values.set(name, await program.read(name));
  program.dispose();
  return values;
}

describe.each(['opt-lm', 'gpt2-lm', 'llama-lm'])('%s', (name) => {
  it('loss and gradients equal those of all scores at once, and both what the host computes from scores', async () => {
    using model = await load(name);
    const objective = objectiveOf(model);
    const batch = batchesOf(model, 6).at(0, 0);
    expect(batch.labels.length).toBe(6 * batch.seq);
    const values = await lossAndGradients(model, batch, (inputs, labels) => model.loss(objective, inputs, labels));
    expect(values.get('loss')![0]).toBeCloseTo(await hostLoss(model, batch), 4);
    const plain = await lossAndGradients(model, batch, (inputs, labels) => crossEntropy(model.logits(inputs), labels));
    let norm = 0;
    for (const [parameter, gradient] of plain) {
      const scale = Math.max(...gradient.map(Math.abs));
      expect(Math.max(...values.get(parameter)!.map((g, i) => Math.abs(g - gradient[i]!)))).toBeLessThan(1e-4 * scale);
      if (parameter !== 'loss') norm += gradient.reduce((sum, g) => sum + g * g, 0);
    }
    norm = Math.sqrt(norm);
    // A small step along the gradient changes the loss by the gradient's norm.
    const step = 4e-3;
    const start = await model.stateDict();
    const moved = async (sign: number): Promise<number> => {
      const shift = (parameter: string, i: number): number => (sign * step * (plain.get(parameter)?.[i] ?? 0)) / norm;
      model.loadStateDict(new Map([...start].map(([key, v]) => [key, v.map((x, i) => x + shift(key, i))])));
      return hostLoss(model, batch);
    };
    expect(((await moved(1)) - (await moved(-1))) / (2 * step) / norm).toBeCloseTo(1, 2);
  });
});

it('perplexity is over all counted tokens, whatever the batches; fine-tuning lowers it', async () => {
  using model = await load('gpt2-lm');
  using session = logitsSession(model);
  let [sum, count] = [0, 0];
  for (const batch of batchesOf(model, 2).epoch(0)) {
    const part = lossOf(await session.run(batch), batch);
    [sum, count] = [sum + part.sum, count + part.count];
  }
  const before = (await evaluate(model, examples)).metrics;
  if (!('perplexity' in before)) throw new Error('no perplexity');
  expect(before.count).toBe(count);
  expect(before.perplexity / Math.exp(sum / count)).toBeCloseTo(1, 5);
  await train(model, examples, { steps: 12, lr: 2e-2, batchSize: 5 });
  const after = (await evaluate(model, examples)).metrics;
  expect(after.loss).toBeLessThan(0.7 * before.loss);
});
