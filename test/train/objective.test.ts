/** Protects: the losses of every head but language models' — against float64, gradients against its finite differences, filling left out. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { gradients } from '../../engine/graph/autograd.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { Batches } from '../../train/data/batches.ts';
import { NO_LABEL, type EncodedExample } from '../../train/data/encode.ts';
import { objectiveOf } from '../../train/objective.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

const example = (more: Partial<EncodedExample>, length = 3): EncodedExample => ({
  ids: new Int32Array(length).fill(7),
  mask: new Int32Array(length).fill(1),
  typeIds: new Int32Array(length),
  label: NO_LABEL,
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
  const { batch, seq, labels } = new Batches(examples, options).at(0, 0);
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

it('answers: mean of the cross-entropies of start and end, over the places of the longest row, what lies past it left out', async () => {
  const spans = [
    [1, 4],
    [0, NO_LABEL],
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
