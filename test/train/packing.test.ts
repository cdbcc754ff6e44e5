/** Protects: examples packed into rows are learned as if each had a row of its own, as transformers learns them: losses, gradients, weights, importance. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DataLoader, type Batch } from '../../data/data-loader.ts';
import { IGNORE_INDEX, type EncodedExample } from '../../data/encoded-example.ts';
import type { Examples } from '../../data/example-store.ts';
import { objectiveOf } from '../../data/objective.ts';
import { packExamples } from '../../data/packing.ts';
import { gradients } from '../../engine/autograd/gradients.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { PeftModel, type BatchInputs } from '../../peft-model/peft-model.ts';
import { UNIT_SCORES } from '../../pruning/unit-scores.ts';
import { estimate } from '../../train/estimate.ts';
import { evaluate } from '../../train/evaluate.ts';
import { trainingLoss } from '../../train/model-loss.ts';
import { train } from '../../train/train.ts';
import { openTestEngine } from '../engine.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens');
const EXPECTED = JSON.parse(readFileSync(join(GOLDENS, 'packing', 'losses.json'), 'utf8')) as Record<
  string,
  Record<string, { readonly loss: number; readonly grad_norm: number }>
>;
const VOCABULARY = 120;
const MAX_LENGTH = 32;

const engine = await openTestEngine();

/** The examples of `goldens/packing/make.py`. */
const apart: EncodedExample[] = [5, 9, 16, 2, 12].map((length, line) => {
  const ids = Int32Array.from({ length }, (_, i) => 3 + ((i * 31 + line * 17) % (VOCABULARY - 3)));
  const tokenLabels = ids.map((id, i) => (i > 1 && (i + line) % 3 === 0 ? IGNORE_INDEX : id));
  return { ids, mask: ids.map(() => 1), typeIds: ids.map(() => 0), tokenLabels, label: IGNORE_INDEX };
});
const packed = packExamples(apart, { maxLength: MAX_LENGTH });

async function load(name: string): Promise<PeftModel> {
  const folder = join(GOLDENS, 'families', name);
  return PeftModel.fromPretrained(engine, await loadModel(join(folder, 'model')), join(folder, 'adapters', 'lora'));
}

function batchOf({ base }: PeftModel, examples: Examples): Batch {
  const { padTokenId: padId } = base.config;
  return new DataLoader(examples, { batchSize: examples.length, order: 'file', seed: 0, padId, maxLength: 40 }).at(
    0,
    0,
  );
}

/** The loss of a batch and its gradient, all parameters one after the other. */
async function lossAndGradient(model: PeftModel, batch: Batch): Promise<{ loss: number; gradient: number[] }> {
  const parameters = model.parameters.all;
  const objective = objectiveOf(model);
  const training = trainingLoss(model, objective, batch.segmentIds !== undefined);
  using program = await engine.compile('loss', training.specs(batch), (inputs) => {
    const loss = model.loss(objective, inputs as unknown as BatchInputs, inputs.labels!);
    const found = gradients(
      loss,
      parameters.map(({ tensor }) => tensor),
    );
    return { outputs: { loss, ...Object.fromEntries(parameters.map(({ name }, i) => [name, found[i]!])) } };
  });
  program.run(training.inputs(batch));
  const gradient: number[] = [];
  for (const { name } of parameters) gradient.push(...(await program.read(name)));
  return { loss: (await program.read('loss'))[0]!, gradient };
}

/** The largest difference, by the largest value. */
function difference(found: readonly number[], expected: readonly number[]): number {
  expect(found.length).toBe(expected.length);
  const scale = Math.max(...expected.map(Math.abs));
  return Math.max(...expected.map((value, i) => Math.abs(value - found[i]!))) / scale;
}

const norm = (values: readonly number[]): number => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));

describe('Packing', () => {
  it('makes two rows of the five examples', () => {
    expect(Array.from(packed, ({ ids }) => ids.length)).toEqual([30, 14]);
  });

  describe.each(['llama-lm', 'opt-lm', 'gpt2-lm'])('%s', (name) => {
    it('has the loss and gradients of the examples apart, and those of transformers', async () => {
      using model = await load(name);
      const found = await lossAndGradient(model, batchOf(model, packed));
      const expected = await lossAndGradient(model, batchOf(model, apart));
      expect(found.loss / expected.loss).toBeCloseTo(1, 6);
      expect(difference(found.gradient, expected.gradient)).toBeLessThan(1e-5);
      for (const { loss, grad_norm } of Object.values(EXPECTED[name]!)) {
        expect(found.loss / loss).toBeCloseTo(1, 5);
        expect(norm(found.gradient) / grad_norm).toBeCloseTo(1, 4);
      }
      // Without segments a token sees what is before it in the row, and its loss is another.
      const { segmentIds: _, ...joined } = batchOf(model, packed);
      expect(Math.abs((await lossAndGradient(model, joined)).loss - expected.loss)).toBeGreaterThan(1e-5);
    });
  });

  const steps = { steps: 3, lr: 1e-2, shuffle: false, maxGradNorm: 0.3 };

  it('trains to the weights of the examples apart, at once and accumulated', async () => {
    const trained = async (examples: Examples, more: object): Promise<{ losses: number[]; weights: number[] }> => {
      using model = await load('llama-lm');
      const { loss } = await train(model, examples, { ...steps, ...more });
      return { losses: [...loss], weights: [...(await model.stateDict()).values()].flatMap((values) => [...values]) };
    };
    const expected = await trained(apart, { batchSize: 5 });
    for (const more of [{ batchSize: 2 }, { batchSize: 1, gradientAccumulationSteps: 2 }]) {
      const found = await trained(packed, more);
      expect(difference(found.losses, expected.losses)).toBeLessThan(1e-5);
      expect(difference(found.weights, expected.weights)).toBeLessThan(1e-4);
    }
  });

  it('estimates the importance of the examples apart', async () => {
    const estimated = async (examples: Examples, batchSize: number) => {
      using model = await load('llama-lm');
      return await estimate(model, examples, { ...steps, steps: 2, batchSize });
    };
    const [found, expected] = [await estimated(packed, 2), await estimated(apart, 5)];
    const names = Object.keys(expected.modules);
    expect(names.length).toBeGreaterThan(3);
    const moduleScores = ({ modules }: typeof found): number[] => names.map((module) => modules[module]!);
    const rankScores = ({ ranks }: typeof found): number[] => names.flatMap((module) => ranks[module]!);
    expect(difference(moduleScores(found), moduleScores(expected))).toBeLessThan(1e-4);
    expect(difference(rankScores(found), rankScores(expected))).toBeLessThan(1e-4);
    expect(difference(found.heads.flat(), expected.heads.flat())).toBeLessThan(1e-4);
    expect(difference(found.neurons.flat(), expected.neurons.flat())).toBeLessThan(1e-4);
    for (const score of UNIT_SCORES)
      for (const part of ['heads', 'neurons'] as const) {
        const [a, b] = [found, expected].map(({ units }) => units![score]![part].flat());
        expect(difference(a!, b!)).toBeLessThan(1e-4);
      }
  });

  it('has mega-batches only where examples are grouped by length', async () => {
    using model = await load('llama-lm');
    for (const off of [{ shuffle: false }, { groupByLength: false }])
      await expect(train(model, packed, { megaBatchMult: 4, ...off })).rejects.toThrow(/megaBatchMult.*needs/);
  });

  it('is not for evaluation', async () => {
    using model = await load('llama-lm');
    await expect(evaluate(model, packed)).rejects.toThrow('packed rows are for training');
  });
});
