/**
 * Protects: the loss of a distillation, by labels and teacher — values against float64, gradients against its finite differences, rows without
 * a label left out, parts of a batch that add up to it; and which heads it is for.
 */
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { DataLoader, type Batch } from '../../data/data-loader.ts';
import {
  assertDistillable,
  distilledObjective,
  TaughtExamples,
  type DistillationTerms,
} from '../../data/distillation.ts';
import { IGNORE_INDEX, type EncodedExample } from '../../data/encoded-example.ts';
import { objectiveOf, type LossOptions } from '../../data/objective.ts';
import { gradients } from '../../engine/autograd/gradients.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();

const ROWS = 5;

interface Case {
  readonly labels: readonly string[];
  readonly terms: DistillationTerms;
  readonly options?: LossOptions;
}

function examplesOf(labels: readonly (number | undefined)[], isNumber: boolean): EncodedExample[] {
  return labels.map((label, i) => ({
    ids: new Int32Array(2 + i).fill(7),
    mask: new Int32Array(2 + i).fill(1),
    typeIds: new Int32Array(2 + i),
    label: isNumber ? IGNORE_INDEX : (label ?? IGNORE_INDEX),
    ...(isNumber && label !== undefined && { values: Float32Array.of(label) }),
  }));
}

function batchOf(examples: readonly EncodedExample[], logits: Float32Array, terms: DistillationTerms): Batch {
  const taught = new TaughtExamples(examples, { ...terms, logits });
  return new DataLoader(taught, { batchSize: ROWS, order: 'file', seed: 0, padId: 1, maxLength: 16 }).at(0, 0);
}

const logSoftmax = (row: readonly number[]): number[] => {
  const most = Math.max(...row);
  const sum = row.reduce((total, x) => total + Math.exp(x - most), 0);
  return row.map((x) => x - most - Math.log(sum));
};

/** A row's loss by its label, and by its teacher, in float64. */
function rowLosses(
  row: readonly number[],
  label: number,
  teacher: readonly number[],
  { terms, options }: Case,
): number[] {
  if (row.length === 1) return [(row[0]! - label) ** 2, (row[0]! - teacher[0]!) ** 2];
  const { temperature: T } = terms;
  const { labelSmoothing = 0 } = options ?? {};
  const sharp = logSoftmax(row);
  const mean = sharp.reduce((a, b) => a + b, 0) / row.length;
  const [student, target] = [row, teacher].map((scores) => logSoftmax(scores.map((x) => x / T)));
  const divergence = target!.reduce((sum, t, c) => sum + Math.exp(t) * (t - student![c]!), 0);
  return [-(1 - labelSmoothing) * sharp[label]! - labelSmoothing * mean, T * T * divergence];
}

interface Values {
  readonly scores: readonly number[];
  readonly teacher: readonly number[];
  readonly labels: readonly (number | undefined)[];
}

function reference(scores: readonly number[], { teacher, labels }: Values, of: Case): number {
  const width = of.labels.length;
  const row = (values: readonly number[], i: number): number[] => values.slice(i * width, (i + 1) * width);
  const known = labels.flatMap((label, i) =>
    label === undefined ? [] : [rowLosses(row(scores, i), label, row(teacher, i), of)],
  );
  const { weight } = of.terms;
  const sum = known.reduce((total, [byLabel, byTeacher]) => total + (1 - weight) * byLabel! + weight * byTeacher!, 0);
  return sum / Math.max(1, known.length);
}

function objectiveFor({ labels, terms, options }: Case) {
  const plain = objectiveOf({ head: 'classification', labels }, [], options);
  return distilledObjective(plain, labels.length, terms);
}

const compile = (of: Case) => {
  const objective = objectiveFor(of);
  const specs = {
    scores: { shape: [ROWS, of.labels.length], dtype: 'f32' },
    labels: objective.labels(ROWS, 8),
  } as const;
  return engine.compile('distilled', specs, (inputs) => {
    const loss = objective.loss(inputs.scores, inputs.labels);
    return { outputs: { loss, gradient: gradients(loss, [inputs.scores])[0] as Tensor } };
  });
};

const THREE = ['a', 'b', 'c'];

describe.each<[string, Case]>([
  ['classes, half and half', { labels: THREE, terms: { weight: 0.5, temperature: 2 } }],
  ['classes, the teacher alone', { labels: THREE, terms: { weight: 1, temperature: 3.7 } }],
  ['two classes, sharper than they are', { labels: ['a', 'b'], terms: { weight: 0.25, temperature: 0.5 } }],
  ['smoothed labels', { labels: THREE, terms: { weight: 0.3, temperature: 1 }, options: { labelSmoothing: 0.2 } }],
  ['numbers', { labels: ['value'], terms: { weight: 0.4, temperature: 2 } }],
])('%s', (_, of) => {
  const width = of.labels.length;
  const program = compile(of);
  afterAll(async () => (await program).dispose());

  async function found(values: Values): Promise<{ loss: number; gradient: Float32Array }> {
    const examples = examplesOf(values.labels, width === 1);
    const { labels } = batchOf(examples, Float32Array.from(values.teacher), of.terms);
    const compiled = await program;
    compiled.run({ scores: Float32Array.from(values.scores), labels });
    return { loss: (await compiled.read('loss'))[0]!, gradient: await compiled.read('gradient') };
  }

  const numbers = fc.array(fc.double({ min: -8, max: 8, noNaN: true }).map(Math.fround), {
    minLength: ROWS * width,
    maxLength: ROWS * width,
  });
  const label = width === 1 ? fc.double({ min: -4, max: 4, noNaN: true }).map(Math.fround) : fc.nat(width - 1);
  const labels = fc.array(fc.option(label, { nil: undefined, freq: 3 }), { minLength: 1, maxLength: ROWS });
  const values = fc.record({ scores: numbers, teacher: numbers, labels });
  const taughtRows = ({ labels: given, ...rest }: Values): Values => ({
    ...rest,
    labels: given,
    teacher: rest.teacher.slice(0, given.length * width),
  });

  it('is that of float64, and so is its gradient', async () => {
    await fc.assert(
      fc.asyncProperty(values, async (given) => {
        const own = taughtRows(given);
        const { loss, gradient } = await found(own);
        const expected = reference(own.scores, own, of);
        expect(Math.abs(loss - expected)).toBeLessThan(2e-5 * Math.max(1, Math.abs(expected)));
        const step = 1e-4;
        own.scores.forEach((__, i) => {
          const moved = (by: number): number =>
            reference(
              own.scores.map((x, j) => (i === j ? x + by : x)),
              own,
              of,
            );
          const slope = (moved(step) - moved(-step)) / (2 * step);
          expect(Math.abs(gradient[i]! - slope), `score ${i}`).toBeLessThan(1e-4 * Math.max(1, Math.abs(slope)));
        });
      }),
      { numRuns: 40 },
    );
  });

  it('is, of parts of a batch by what they count, that of the batch', () => {
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: ROWS }), (given, rows) => {
        const own = taughtRows(given);
        const examples = examplesOf(own.labels, width === 1);
        const { labels: whole } = batchOf(examples, Float32Array.from(own.teacher), of.terms);
        const { part, share } = objectiveFor(of);
        const shares = Array.from({ length: Math.ceil(ROWS / rows) }, (__, i) => {
          const piece = part(whole, i * rows, rows, ROWS);
          expect(piece).toHaveLength(rows * (1 + width));
          return share(piece, whole);
        });
        const known = own.labels.some((one) => one !== undefined);
        expect(shares.reduce((a, b) => a + b, 0)).toBeCloseTo(known ? 1 : 0, 6);
      }),
    );
  });

  it('has nothing by a teacher that says the same', async () => {
    const scores = Array.from({ length: ROWS * width }, (__, i) => 3 * Math.sin(1.3 * i));
    const labelled = Array.from({ length: ROWS }, (__, i) => i % width);
    const own = { scores, teacher: scores, labels: labelled };
    const { loss } = await found(own);
    const byLabels = reference(scores, own, { ...of, terms: { ...of.terms, weight: 0 } });
    expect(Math.abs(loss - (1 - of.terms.weight) * byLabels)).toBeLessThan(1e-5);
  });

  it('is 0 where no row has a label, whatever scores and teacher say', async () => {
    const scores = Array.from({ length: ROWS * width }, (__, i) => i);
    const teacher = Array<number>(ROWS * width).fill(NaN);
    const { loss, gradient } = await found({ scores, teacher, labels: Array<undefined>(ROWS).fill(undefined) });
    expect([loss, ...gradient]).toEqual([0, ...scores.map(() => 0)]);
  });
});

describe('is refused', () => {
  const refused = (head: Parameters<typeof assertDistillable>[0], examples: EncodedExample[] = [], options = {}) =>
    expect(() => assertDistillable(head, examples, options));

  it.each(['multiple-choice', 'question-answering', 'causal-lm', 'masked-lm'] as const)('for %s', (head) => {
    refused({ head, labels: [] }).toThrow(
      `\`distill\`: found a head for ${head}, expected one class of several, or a number to predict`,
    );
  });

  it('for sets of classes', () => {
    const examples = examplesOf([1], true);
    refused({ head: 'classification', labels: ['a', 'b'] }, examples).toThrow(/found labels that are sets of classes/);
  });

  it('beside weights of classes, which the teacher has not', () => {
    const options = { classWeights: { a: 2 } };
    refused({ head: 'classification', labels: THREE }, [], options).toThrow(/`distill` and `classWeights`: give one/);
  });
});
