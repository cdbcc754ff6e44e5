/** Protects: the losses of every head but language models' — against float64, gradients against its finite differences, filling left out. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { gradients } from '../../engine/autograd/gradients.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { PeftModel, type BatchInputs } from '../../peft-model/peft-model.ts';
import { DataLoader } from '../../data/data-loader.ts';
import { encodeChoices } from '../../data/encode.ts';
import { IGNORE_INDEX, type EncodedExample } from '../../data/encoded-example.ts';
import type { TokenRow } from '../../data/examples.ts';
import { objectiveOf } from '../../data/objective.ts';
import { ANSWER_DEFAULTS } from '../../data/qa/answers.ts';
import { encodeQuestions } from '../../data/qa/encode.ts';
import { openTestEngine } from '../engine.ts';

const FAMILIES = join(import.meta.dirname, '..', 'goldens', 'families');

const engine = await openTestEngine();

const example = (more: Partial<EncodedExample>, length = 3): EncodedExample => ({
  ids: new Int32Array(length).fill(7),
  mask: new Int32Array(length).fill(1),
  typeIds: new Int32Array(length),
  label: IGNORE_INDEX,
  ...more,
});

interface Case {
  readonly head: Parameters<typeof objectiveOf>[0];
  readonly examples: readonly EncodedExample[];
  /** Scores of a row. */
  readonly cols: number;
  readonly scores?: readonly number[];
}

/** Loss and gradient on one batch with a place more than there are examples. @param reference the loss in float64 */
async function check(
  { head, examples, cols, scores: given }: Case,
  reference: (scores: readonly number[], seq: number) => number,
): Promise<void> {
  const objective = objectiveOf(head, examples);
  const options = { batchSize: examples.length + 1, order: 'file', seed: 0, padId: 1, maxLength: 16 } as const;
  const { batch, seq, labels } = new DataLoader(examples, options).at(0, 0);
  const rows = head.head === 'question-answering' ? batch * seq : batch;
  const scores = given ?? Array.from({ length: rows * cols }, (_, i) => 2 * Math.sin(1.7 * i + 0.3));
  const specs = { scores: { shape: [rows, cols], dtype: 'f32' }, labels: objective.labels(batch, seq) } as const;
  const program = await engine.compile('loss', specs, (inputs) => {
    const loss = objective.loss(inputs.scores, inputs.labels);
    return { outputs: { loss, gradient: gradients(loss, [inputs.scores])[0] as Tensor } };
  });
  program.run({ scores: Float32Array.from(scores), labels });
  expect((await program.read('loss'))[0]).toBeCloseTo(reference(scores, seq), 5);
  const gradient = await program.read('gradient');
  const step = 1e-5;
  scores.forEach((_, i) => {
    const moved = (by: number): number =>
      reference(
        scores.map((x, j) => (i === j ? x + by : x)),
        seq,
      );
    expect(gradient[i], `score ${i}`).toBeCloseTo((moved(step) - moved(-step)) / (2 * step), 5);
  });
  program.dispose();
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** −log softmax(scores)[label] */
const crossEntropy = (scores: readonly number[], label: number): number =>
  Math.log(scores.reduce((sum, x) => sum + Math.exp(x - scores[label]!), 0));

it('numbers: mean squared error', async () => {
  const values = [0.5, -2.25];
  const examples = values.map((value) => example({ values: Float32Array.of(value) }));
  const head = { head: 'classification', labels: ['value'] } as const;
  await check({ head, examples, cols: 1 }, (scores) => mean(values.map((value, i) => (scores[i]! - value) ** 2)));
});

it.each([
  ['of any size', undefined],
  ['at 0 and large', [0, 0, 40, 40, -40, 0, 1, 1, 1]],
])('sets of classes: mean binary cross-entropy, scores %s', async (_, scores) => {
  const sets = [
    [1, 0, 1],
    [0, 0, 1],
  ];
  const examples = sets.map((set) => example({ values: Float32Array.from(set) }));
  const head = { head: 'classification', labels: ['a', 'b', 'c'] } as const;
  const loss = (x: number, label: number): number => Math.max(x, 0) - x * label + Math.log1p(Math.exp(-Math.abs(x)));
  const of = (all: readonly number[]): number => mean(sets.flat().map((label, i) => loss(all[i]!, label)));
  await check({ head, examples, cols: 3, ...(scores && { scores }) }, of);
});

it('choices: cross-entropy over the choices of an example', async () => {
  const labels = [2, 0];
  const examples = labels.map((label) => example({ label, otherChoices: [example({}, 5), example({}, 2)] }));
  const head = { head: 'multiple-choice', labels: [] } as const;
  await check({ head, examples, cols: 1 }, (scores) =>
    mean(labels.map((label, i) => crossEntropy(scores.slice(3 * i, 3 * i + 3), label))),
  );
});

it('choices that differ in number: an example’s own alone count, in loss and figures', async () => {
  const sizes = [3, 5, 2];
  const labels = [2, 4, IGNORE_INDEX];
  const examples = sizes.map((size, i) =>
    example({ label: labels[i]!, otherChoices: Array.from({ length: size - 1 }, (_, c) => example({}, 1 + c)) }),
  );
  const head = { head: 'multiple-choice', labels: [] } as const;
  const own = (scores: readonly number[]): number[][] => sizes.map((size, i) => scores.slice(5 * i, 5 * i + size));
  const loss = (scores: readonly number[]): number =>
    mean(own(scores).flatMap((row, i) => (labels[i]! < 0 ? [] : [crossEntropy(row, labels[i]!)])));
  await check({ head, examples, cols: 1 }, loss);
  const scores = own(Array.from({ length: 15 }, (_, i) => Math.sin(3.1 * i)));
  const { metrics } = objectiveOf(head, examples);
  const figures = metrics!(
    examples,
    scores.map((row) => Float32Array.from(row)),
    ANSWER_DEFAULTS,
  );
  const right = scores.map((row, i) => Number(row.indexOf(Math.max(...row)) === labels[i]));
  expect(figures).toMatchObject({ count: 2, accuracy: (right[0]! + right[1]!) / 2 });
  expect(figures.loss).toBeCloseTo(loss(scores.flatMap((row) => [...row, ...Array<number>(5 - row.length)])), 5);
});

it('answers: mean of the cross-entropies of start and end, over the places of the longest row, what lies past it left out', async () => {
  const spans = [
    [1, 4],
    [0, IGNORE_INDEX],
    [2, 2],
  ] as const;
  const examples = spans.map((span, i) => example({ span }, 5 - i));
  const head = { head: 'question-answering', labels: [] } as const;
  await check({ head, examples, cols: 2 }, (scores, seq) => {
    const of = (which: 0 | 1): number =>
      mean(
        spans.flatMap((span, row) => {
          const places = Array.from({ length: 5 }, (_, t) => scores[2 * (row * seq + t) + which]!);
          return span[which] < 0 ? [] : [crossEntropy(places, span[which])];
        }),
      );
    return (of(0) + of(1)) / 2;
  });
});

describe('on the logits that transformers gives, padding and all', () => {
  const options = { maxLength: 16, vocabSize: 120, typeVocabSize: 0, tokenizer: undefined };

  /** Rows of a golden with their padding, and its logits. */
  async function golden(name: string): Promise<{ rows: Omit<TokenRow, 'line'>[]; logits: number[]; seq: number }> {
    const inputs = await openSafetensors(join(FAMILIES, name, 'batch.safetensors'));
    const outputs = await openSafetensors(join(FAMILIES, name, 'logits.safetensors'));
    const [ids, mask] = [await inputs.readInt32('input_ids'), await inputs.readInt32('attention_mask')];
    const seq = inputs.info('input_ids').shape.at(-1) as number;
    const logits = [...(await outputs.readFloat32('lora'))];
    await Promise.all([inputs.close(), outputs.close()]);
    const row = (values: Int32Array, i: number): number[] => [...values.slice(i * seq, (i + 1) * seq)];
    const rows = Array.from({ length: ids.length / seq }, (_, i) => ({
      inputIds: row(ids, i),
      attentionMask: row(mask, i),
    }));
    return { rows, logits, seq };
  }

  async function lossOf(name: string, examples: readonly EncodedExample[]): Promise<number> {
    const folder = join(FAMILIES, name);
    const checkpoint = await loadModel(join(folder, 'model'));
    using model = await PeftModel.fromPretrained(engine, checkpoint, join(folder, 'adapters', 'lora'));
    const objective = objectiveOf(model, examples);
    const order = { batchSize: examples.length, order: 'file', seed: 0, maxLength: 16 } as const;
    const batch = new DataLoader(examples, { ...order, padId: model.base.config.padTokenId }).at(0, 0);
    const specs = { ...model.inputSpecs(batch.batch, batch.seq), labels: objective.labels(batch.batch, batch.seq) };
    const program = await engine.compile('loss', specs, (inputs) => ({
      outputs: { loss: model.loss(objective, inputs as BatchInputs, inputs.labels) },
    }));
    program.run({ ...model.inputValues(batch), labels: batch.labels });
    const [loss] = await program.read('loss');
    program.dispose();
    return loss!;
  }

  it('answers', async () => {
    const { rows, logits, seq } = await golden('bert-qa');
    const spans = rows.map((_, i) => [i, 2 * i + 1] as const);
    const questions = rows.map((row, i) => ({ line: i + 1, ...row, span: spans[i]! }));
    const of = (which: 0 | 1): number =>
      mean(
        spans.map((span, row) => {
          const places = Array.from({ length: seq }, (_, t) => logits[2 * (row * seq + t) + which]!);
          return crossEntropy(places, span[which]);
        }),
      );
    const loss = await lossOf(
      'bert-qa',
      (await encodeQuestions({ path: 'q', rows: questions }, { ...options, docStride: 1 })).flatMap(
        ({ windows }) => windows,
      ),
    );
    expect(loss).toBeCloseTo((of(0) + of(1)) / 2, 5);
  });

  it('choices', async () => {
    const { rows, logits } = await golden('roberta-choice');
    const count = 2;
    const labelled = rows.map((row, i) => ({
      line: Math.floor(i / count),
      choice: i % count,
      label: Math.floor(i / count) % count,
      ...row,
    }));
    const examples = [...(await encodeChoices({ path: 'c', rows: labelled }, options))];
    const losses = examples.map(({ label }, i) => crossEntropy(logits.slice(count * i, count * (i + 1)), label));
    expect(await lossOf('roberta-choice', examples)).toBeCloseTo(mean(losses), 5);
  });
});
