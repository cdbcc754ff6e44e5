/**
 * Room: examples. An importance score of your own: heads by the squared gradient of their mask (Fisher information), summed up on the
 * device inside the training step. A plan by that score is tried by masks before anything is cut.
 *
 *     npx tsx examples/custom-score.ts [STEPS]
 */
import { decide, Engine, evaluate, getPeftModel, loadModel, loraConfig, MaskedPlan, runTraining } from 'light-peft';
import { trainingLoss, type StepTransform } from 'light-peft';
import { loadData, DataLoader, objectiveOf } from 'light-peft/data';
import { add, constant, maskColumns, square, type ParameterSpec } from 'light-peft/engine';

const steps = Number(process.argv[2] ?? 50);
using engine = await Engine.open();
const checkpoint = await loadModel('checkpoints/light-roberta');
const options = { maxLength: 24, maxEvalExamples: 500 };
const { train, eval: test, labels } = await loadData(checkpoint, { task: 'sentiment' }, options);
using model = await getPeftModel(engine, checkpoint, loraConfig({ r: 8 }), { labels });
const { layers, config } = model.base;

// A mask of ones on the heads of every layer, and where its squared gradients are summed up.
const name = (layer: number): string => `fisher.${layer}`;
const masks = layers.map(({ heads }, layer): ParameterSpec => {
  return { name: name(layer), shape: [heads], data: new Float32Array(heads).fill(1), decay: false, lrMultiplier: 0 };
});
const sums = layers.map(({ heads }, layer) => engine.variable(`sum.${layer}`, [heads], { kind: 'state' }));
const fisher: StepTransform = {
  inputs: {},
  values: () => ({}),
  state: sums,
  penalty: () => constant(0),
  forward: () => ({
    hooks: [{ context: (layer, context) => maskColumns(context, model.parameters.get(name(layer)).tensor) }],
  }),
  updates: ({ gradients }) =>
    sums.map((target, layer) => ({ target, value: add(target.tensor, square(gradients.get(name(layer))!)) })),
};

await model.withParameters(masks, () => {
  const order = { batchSize: 16, order: 'shuffle', seed: 0, padId: config.padTokenId, maxLength: 24 } as const;
  const optimization = { steps, lr: 1e-3, schedule: 'linear', warmupRatio: 0 } as const;
  const loss = trainingLoss(model, objectiveOf(model, train));
  return runTraining(loss, new DataLoader(train, order), optimization, {}, fisher);
});
const heads = await Promise.all(sums.map(async (sum) => [...(await engine.read(sum))]));

// Neurons, modules and ranks stay; heads go by the score.
const rest = { neurons: layers.map(({ neurons }) => Array<number>(neurons).fill(1)), modules: {}, ranks: {} };
const modules = Object.fromEntries(
  model.method!.modules.map((m) => [m.name, { ranks: m.ranks, kept: [...Array(m.ranks).keys()] }]),
);
for (const ratio of [0, 0.5]) {
  const decision = { ...decide({ heads, ...rest }, { heads: ratio, neurons: 0 }), modules };
  using masked = new MaskedPlan(engine, layers, decision, model.method!.modules);
  const { metrics } = await evaluate(model, test, { forward: masked.options() });
  console.log(`${100 * ratio} % of the heads off:`, metrics);
}
