/**
 * Protects: what an estimation measures of heads and neurons beside their masks (docs/method.md §4): gradients of the task's loss alone,
 * before clipping, activations of real tokens alone, all weights that slicing cuts; however a step is put together.
 */
import { describe, expect, it } from 'vitest';
import type { Batch } from '../../data/data-loader.ts';
import { objectiveOf } from '../../data/objective.ts';
import { gradients } from '../../engine/autograd/gradients.ts';
import type { Program } from '../../engine/compile/program.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { linearLayers, linearName } from '../../models/architecture.ts';
import type { PeftModel } from '../../peft-model/peft-model.ts';
import { ffnMaskName, headMaskName, maskHooks, maskSpecs } from '../../pruning/masks.ts';
import { moduleSlices } from '../../pruning/slice.ts';
import { UNIT_SCORES, type UnitScore, type UnitTable } from '../../pruning/unit-scores.ts';
import { estimate, type Estimate } from '../../train/estimate.ts';
import { trainingBatches, trainingLoss } from '../../train/model-loss.ts';
import type { EstimateOptions } from '../../train/options.ts';
import { openTestEngine } from '../engine.ts';
import { tinyExamples, tinyModel, tinyOptions, type Changes, type Family } from './tiny.ts';

const engine = await openTestEngine();

/** Nothing moves: every step measures the model as it is, by other examples. The penalty outweighs the task's gradients, and all are clipped. */
const STILL = {
  ...{ lr: 1e-12, schedule: 'constant', shuffle: false, batchSize: 6, maxGradNorm: 1e-3 },
  ...{ headsL1: 0.02, ffnL1: 0.05 },
} satisfies EstimateOptions;

/** Of a batch, in f32: gradients of the masks by name, and what they multiply. */
interface Seen {
  readonly values: ReadonlyMap<string, Float32Array>;
  readonly isReal: readonly boolean[];
}

/** What the definitions need, of a model with masks of given values. */
async function seen(model: PeftModel, batches: readonly Batch[], masks?: UnitTable): Promise<Seen[]> {
  const { layers } = model.base;
  const specs = maskSpecs(layers, { headsL1: 0, ffnL1: 0, headsLr: 1, ffnLr: 1 });
  return model.withParameters(specs, async () => {
    layers.forEach((_, layer) => {
      if (!masks) return;
      engine.write(model.parameters.get(headMaskName(layer)), Float32Array.from(masks.heads[layer]!));
      engine.write(model.parameters.get(ffnMaskName(layer)), Float32Array.from(masks.neurons[layer]!));
    });
    const found: Seen[] = [];
    for (const batch of batches) {
      using program = await probe(model, batch);
      program.run(trainingLoss(model, objectiveOf(model)).inputs(batch));
      const values = new Map<string, Float32Array>();
      const names = specs.flatMap(({ name }) => [name, `of ${name}`]);
      for (const name of names) values.set(name, await program.read(name));
      found.push({ values, isReal: Array.from(batch.attentionMask, (one) => one === 1) });
    }
    return found;
  });
}

function probe(model: PeftModel, batch: Batch): Promise<Program> {
  const parameter = (name: string): Tensor => model.parameters.get(name).tensor;
  const names = model.base.layers.flatMap((_, layer) => [headMaskName(layer), ffnMaskName(layer)]);
  const loss = trainingLoss(model, objectiveOf(model));
  return engine.compile('probe', loss.specs(batch), (inputs) => {
    const outputs: Record<string, Tensor> = {};
    const keep = (name: string, x: Tensor): Tensor => (outputs[`of ${name}`] = x);
    const probing = {
      context: (layer: number, x: Tensor) => keep(headMaskName(layer), x),
      intermediate: (layer: number, x: Tensor) => keep(ffnMaskName(layer), x),
    };
    const value = loss.loss(inputs, { hooks: [probing, maskHooks(parameter)] });
    const found = gradients(value, names.map(parameter));
    names.forEach((name, i) => (outputs[name] = found[i]!));
    return { outputs };
  });
}

/** A row per layer of what the definition says of each head or neuron, in float64. */
async function expected(
  model: PeftModel,
  steps: readonly Seen[],
  masks?: UnitTable,
): Promise<Record<UnitScore, UnitTable>> {
  const { base } = model;
  const weights = new Map<string, Float32Array>();
  for (const { name } of linearLayers(base.config)) weights.set(name, await weightOf(model, name));
  const mean = (of: (step: Seen) => number): number => steps.reduce((sum, step) => sum + of(step), 0) / steps.length;
  const tables = (of: (mask: string, layer: number, unit: number, part: 'heads' | 'neurons') => number): UnitTable => ({
    heads: base.layers.map(({ heads }, l) => indices(heads).map((unit) => of(headMaskName(l), l, unit, 'heads'))),
    neurons: base.layers.map(({ neurons }, l) =>
      indices(neurons).map((unit) => of(ffnMaskName(l), l, unit, 'neurons')),
    ),
  });
  const valueOf = (layer: number, unit: number, part: 'heads' | 'neurons'): number => masks?.[part][layer]?.[unit] ?? 1;
  return {
    taylor: tables((mask, layer, unit, part) =>
      mean(({ values }) => Math.abs(valueOf(layer, unit, part) * values.get(mask)![unit]!)),
    ),
    fisher: tables((mask, _, unit) => mean(({ values }) => values.get(mask)![unit]! ** 2)),
    magnitude: tables((_, layer, unit, part) => Math.sqrt(cutWith(model, weights, layer, unit, part))),
    activation: tables((mask, layer, unit, part) => {
      const output = linearName(base.config, layer, part === 'heads' ? 'attentionOutput' : 'down');
      const inner = part === 'heads' ? base.config.headDim : 1;
      const columns = indices(inner).map((i) => unit * inner + i);
      return Math.sqrt(
        mean((step) =>
          columns.reduce(
            (sum, j) => sum + wanda(step, mask, weights.get(output)!, j, base.layers[layer]![part] * inner),
            0,
          ),
        ),
      );
    }),
  };
}

/** Σ over real tokens of the square of a feature, times that of the norm of its column. */
function wanda({ values, isReal }: Seen, mask: string, weight: Float32Array, column: number, width: number): number {
  const activations = values.get(`of ${mask}`)!;
  const tokens = isReal.reduce((sum, real, t) => sum + (real ? activations[t * width + column]! ** 2 : 0), 0);
  return tokens * indices(weight.length / width).reduce((sum, row) => sum + weight[row * width + column]! ** 2, 0);
}

/** Σ of the squares of the weights that slicing keeps with one unit alone. */
function cutWith(
  { base }: PeftModel,
  weights: ReadonlyMap<string, Float32Array>,
  layer: number,
  unit: number,
  part: 'heads' | 'neurons',
): number {
  const keep = base.layers.map(() => ({ heads: [], neurons: [], [part]: [unit] }));
  const { prefix } = base.config.architecture.block;
  let sum = 0;
  for (const [name, { rows, cols }] of moduleSlices(base.config, keep)) {
    if (!name.startsWith(`${prefix(layer)}.`)) continue;
    const weight = weights.get(name)!;
    const { shape } = base.weights.get(`${name}.weight`)!;
    const width = shape[1]!;
    for (const row of rows ?? indices(shape[0]!))
      for (const col of cols ?? indices(width)) sum += weight[row * width + col]! ** 2;
  }
  return sum;
}

async function weightOf({ base, parameters }: PeftModel, name: string): Promise<Float32Array> {
  const weight = `${name}.weight`;
  return engine.read(parameters.has(weight) ? parameters.get(weight) : base.weights.get(weight)!);
}

function indices(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

function expectTables(found: Estimate['units'], wanted: Partial<Record<UnitScore, UnitTable>>, tolerance = 2e-5): void {
  for (const score of Object.keys(wanted) as UnitScore[])
    for (const part of ['heads', 'neurons'] as const) {
      const [a, b] = [found![score]![part].flat(), wanted[score]![part].flat()];
      const largest = Math.max(...b);
      expect(a).toHaveLength(b.length);
      expect(largest).toBeGreaterThan(0);
      const worst = Math.max(...b.map((value, i) => Math.abs(a[i]! - value))) / largest;
      expect(worst, `${score} of ${part}`).toBeLessThan(tolerance);
    }
}

function scaled(units: Estimate['units'], factors: Partial<Record<UnitScore, number>>): Record<UnitScore, UnitTable> {
  const times = (rows: UnitTable['heads'], factor: number): number[][] => rows.map((row) => row.map((x) => x * factor));
  const entries = UNIT_SCORES.map((score) => {
    const { heads, neurons } = units![score]!;
    const factor = factors[score] ?? 1;
    return [score, { heads: times(heads, factor), neurons: times(neurons, factor) }] as const;
  });
  return Object.fromEntries(entries) as unknown as Record<UnitScore, UnitTable>;
}

async function batchesOf(model: PeftModel, family: Family): Promise<(at: number) => Batch> {
  const loader = trainingBatches(model, await tinyExamples(family), tinyOptions({ train: STILL_TRAIN }).train);
  return (at) => loader.at(0, at);
}
const STILL_TRAIN = { shuffle: false, batchSize: STILL.batchSize };

describe('scores are those of their definitions', () => {
  it.each<[Family, string, Changes]>([
    ['roberta', 'LoRA', {}],
    ['llama', 'grouped queries and gates', {}],
    ['gpt2', 'query, key and value in one matrix', { peft: { method: 'ia3' } }],
    ['opt', 'adapters', { peft: { method: 'pfeiffer' } }],
    ['distilbert', 'DoRA and biases', { peft: { method: 'dora', bias: 'all' } }],
    ['bert', 'matrices that train along', { peft: { modulesToSave: ['intermediate.dense'] } }],
    ['roberta', 'weights in f16', { load: { weights: 'f16' } }],
  ])('%s, %s', async (family, _, changes) => {
    using model = await tinyModel(engine, tinyOptions(changes), family);
    const batch = await batchesOf(model, family);
    const wanted = await expected(model, await seen(model, [batch(2), batch(3)]));
    const { units } = await estimate(model, await tinyExamples(family), { ...STILL, steps: 4 });
    expect(Object.keys(units!)).toEqual([...UNIT_SCORES]);
    expectTables(units, wanted);
  });

  it('with masks that have moved: they count for taylor, and not for activations', async () => {
    const moving = { ...STILL, lr: 0.05 };
    using model = await tinyModel(engine);
    const start = await model.stateDict();
    const examples = await tinyExamples();
    const masks = await estimate(model, examples, { ...moving, steps: 1 });
    expect(Math.max(...masks.heads.flat().map((m) => Math.abs(m - 1)))).toBeGreaterThan(0.04);
    const second = (await batchesOf(model, 'roberta'))(1);
    const wanted = await expected(model, await seen(model, [second], masks), masks);
    model.loadStateDict(start);
    const { units, countedSteps } = await estimate(model, examples, { ...moving, steps: 2 });
    expect(countedSteps).toBe(1);
    expectTables(units, wanted, 1e-4);
  });

  it('taylor is what the loss changes by, with a mask moved a little (finite differences)', async () => {
    using model = await tinyModel(engine);
    const first = (await batchesOf(model, 'roberta'))(0);
    const { units, heads, neurons } = await estimate(model, await tinyExamples(), { ...STILL, steps: 1 });
    const loss = trainingLoss(model, objectiveOf(model));
    const lossWith = async (masks: UnitTable): Promise<number> =>
      model.withParameters(maskSpecs(model.base.layers, { headsL1: 0, ffnL1: 0, headsLr: 1, ffnLr: 1 }), async () => {
        const parameter = (name: string): Tensor => model.parameters.get(name).tensor;
        model.base.layers.forEach((_, layer) => {
          engine.write(model.parameters.get(headMaskName(layer)), Float32Array.from(masks.heads[layer]!));
          engine.write(model.parameters.get(ffnMaskName(layer)), Float32Array.from(masks.neurons[layer]!));
        });
        using program = await engine.compile('loss', loss.specs(first), (inputs) => ({
          outputs: { loss: loss.loss(inputs, { hooks: [maskHooks(parameter)] }) },
        }));
        program.run(loss.inputs(first));
        return (await program.read('loss'))[0]!;
      });
    const moved = (rows: UnitTable['heads'], at: number, by: number): number[][] =>
      rows.map((row, layer) => row.map((m, i) => (layer === 1 && i === at ? m + by : m)));
    const step = 0.05;
    for (const part of ['heads', 'neurons'] as const) {
      const scores = units!.taylor![part][1]!;
      const at = scores.indexOf(Math.max(...scores));
      const [up, down] = [step, -step].map((by) => ({
        heads,
        neurons,
        [part]: moved({ heads, neurons }[part], at, by),
      }));
      const slope = ((await lossWith(up!)) - (await lossWith(down!))) / (2 * step);
      expect(Math.abs(slope) / scores[at]!).toBeCloseTo(1, 2);
    }
  });
});

describe('however a step is put together', () => {
  const measured = async (
    options: EstimateOptions,
    examples?: Map<string, Awaited<ReturnType<typeof tinyExamples>>>,
  ) => {
    using model = await tinyModel(engine);
    return (await estimate(model, examples ?? (await tinyExamples()), { ...STILL, steps: 2, ...options })).units;
  };

  it('micro-batches measure what whole batches do', async () => {
    const whole = await measured({});
    expectTables(await measured({ batchSize: 2, gradientAccumulationSteps: 3 }), scaled(whole, {}));
  });

  it('masks with learning rates of their own are measured alike', async () => {
    expectTables(await measured({ headsMaskLr: 2, ffnMaskLr: 0 }), scaled(await measured({}), {}));
  });

  it.each([undefined, 'pcgrad'] as const)(
    'several tasks: gradients and activations are added up, control %s',
    async (gradientControl) => {
      const examples = await tinyExamples();
      const tasks = new Map([
        ['one', examples],
        ['other', examples],
      ]);
      const both = await measured({ ...(gradientControl && { gradientControl }) }, tasks);
      const wanted = scaled(await measured({}), { taylor: 2, fisher: 4, activation: Math.SQRT2 });
      expectTables(both, wanted);
    },
  );
});
