/** Protects: the loss of language models — shifted, −100 left out, mean over counted tokens — and its gradients. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { gradients } from '../../engine/autograd/gradients.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { crossEntropy } from '../../engine/ops/cross-entropy.ts';
import { loadState } from '../../peft-model/pretrained.ts';
import { toPeftModel, type PeftModelState } from '../../peft-model/assembly.ts';
import type { BatchInputs, PeftModel } from '../../peft-model/peft-model.ts';
import { DataLoader, type Batch } from '../../data/data-loader.ts';
import { InferenceSession } from '../../train/evaluate.ts';
import { encodeLanguageFile } from '../../data/lm/encode.ts';
import { evaluate, fineTune } from '../../train/stages.ts';
import { tinySettings } from './tiny.ts';

const FAMILIES = join(import.meta.dirname, '..', 'goldens', 'families');
const VOCABULARY = 120;
const MAX_LENGTH = 16;

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

/** Token lists of different lengths; some tokens are not to be learned. */
const rows = [5, 9, 16, 2, 12].map((length, line) => {
  const inputIds = Array.from({ length }, (_, i) => 3 + ((i * 31 + line * 17) % (VOCABULARY - 3)));
  return { line, inputIds, labels: inputIds.map((id, i) => (i > 1 && (i + line) % 3 === 0 ? -100 : id)) };
});
const examples = encodeLanguageFile(
  { path: 'tokens.jsonl', rows },
  { maxLength: MAX_LENGTH, vocabSize: VOCABULARY, tokenizer: undefined, endId: undefined },
);

function load(name: string): Promise<PeftModelState> {
  const folder = join(FAMILIES, name);
  const options = { weights: 'f32', embeddings: 'device' } as const;
  return loadState(engine, join(folder, 'model'), join(folder, 'adapters', 'lora'), options);
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

const batchesOf = (assembly: PeftModelState, batchSize: number): DataLoader => {
  const { padTokenId: padId } = assembly.base.config;
  return new DataLoader(examples, { batchSize, order: 'file', seed: 0, padId, maxLength: MAX_LENGTH });
};

async function hostLoss(classifier: PeftModel, batch: Batch): Promise<number> {
  const forward = new InferenceSession(classifier);
  const { sum, count } = lossOf(await forward.run(batch), batch);
  forward.dispose();
  return sum / count;
}

type LossOf = (inputs: BatchInputs, labels: Tensor) => Tensor;

/** A loss and its gradients with respect to all parameters. */
async function lossAndGradients(
  classifier: PeftModel,
  batch: Batch,
  lossFor: LossOf,
): Promise<Map<string, Float32Array>> {
  const parameters = classifier.parameters.all;
  const labels = classifier.labels(batch.batch, batch.seq);
  const program = await engine.compile(
    'loss',
    { ...classifier.inputSpecs(batch.batch, batch.seq), labels },
    (inputs) => {
      const loss = lossFor(inputs, inputs.labels);
      const grads = gradients(
        loss,
        parameters.map(({ tensor }) => tensor),
      );
      return { outputs: { loss, ...Object.fromEntries(parameters.map(({ name }, i) => [name, grads[i]!])) } };
    },
  );
  program.run({ ...classifier.inputValues(batch), labels: batch.labels });
  const values = new Map<string, Float32Array>();
  for (const name of ['loss', ...parameters.map(({ name }) => name)]) values.set(name, await program.read(name));
  program.dispose();
  return values;
}

describe.each(['opt-lm', 'gpt2-lm', 'llama-lm'])('%s', (name) => {
  it('loss and gradients equal those of all scores at once, and both what the host computes from scores', async () => {
    const assembly = await load(name);
    const batch = batchesOf(assembly, 6).at(0, 0);
    expect(batch.labels.length).toBe(6 * batch.seq);
    const classifier = toPeftModel(engine, assembly);
    const values = await lossAndGradients(classifier, batch, (inputs, labels) => classifier.loss(inputs, labels));
    expect(values.get('loss')![0]).toBeCloseTo(await hostLoss(classifier, batch), 4);
    const plain = await lossAndGradients(classifier, batch, (inputs, labels) =>
      crossEntropy(classifier.logits(inputs), labels),
    );
    let norm = 0;
    for (const [parameter, gradient] of plain) {
      const scale = Math.max(...gradient.map(Math.abs));
      expect(Math.max(...values.get(parameter)!.map((g, i) => Math.abs(g - gradient[i]!)))).toBeLessThan(1e-4 * scale);
      if (parameter !== 'loss') norm += gradient.reduce((sum, g) => sum + g * g, 0);
    }
    norm = Math.sqrt(norm);
    // A small step along the gradient changes the loss by the gradient's norm.
    const step = 4e-3;
    const moved = async (sign: number): Promise<number> => {
      const shift = (parameter: string, i: number): number => (sign * step * (plain.get(parameter)?.[i] ?? 0)) / norm;
      const shifted = new Map([...assembly.values].map(([key, v]) => [key, v.map((x, i) => x + shift(key, i))]));
      const other = toPeftModel(engine, { ...assembly, values: shifted });
      const loss = await hostLoss(other, batch);
      other.parameters.free();
      return loss;
    };
    expect(((await moved(1)) - (await moved(-1))) / (2 * step) / norm).toBeCloseTo(1, 2);
    classifier.parameters.free();
    assembly.base.free();
  });
});

it('perplexity is over all counted tokens, whatever the batches; fine-tuning lowers it', async () => {
  const assembly = await load('gpt2-lm');
  const classifier = toPeftModel(engine, assembly);
  const forward = new InferenceSession(classifier);
  let [sum, count] = [0, 0];
  for (const batch of batchesOf(assembly, 2).epoch(0)) {
    const part = lossOf(await forward.run(batch), batch);
    [sum, count] = [sum + part.sum, count + part.count];
  }
  forward.dispose();
  classifier.parameters.free();
  const before = (await evaluate(engine, assembly, examples, { maxLength: MAX_LENGTH })).metrics;
  if (!('perplexity' in before)) throw new Error('no perplexity');
  expect(before.count).toBe(count);
  expect(before.perplexity / Math.exp(sum / count)).toBeCloseTo(1, 5);
  const settings = tinySettings({ steps: 12, lr: 2e-2, batchSize: 5, maxLength: MAX_LENGTH });
  const tuned = await fineTune(engine, assembly, examples, settings);
  const after = (await evaluate(engine, tuned.assembly, examples, settings)).metrics;
  expect(after.loss).toBeLessThan(0.7 * before.loss);
  assembly.base.free();
});
