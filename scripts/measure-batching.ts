/**
 * How fast a model trains on data by how its examples become batches: drawn at random, grouped by length, packed. Epochs are counted for
 * their padding; some steps of each are timed in turn.
 *
 *     npx tsx scripts/measure-batching.ts --model DIR --train FILE [--max-length N] [--batch-size N] [--packing] [--steps N] [--rounds N]
 *     npx tsx scripts/measure-batching.ts --model DIR --task glue/sst2 --data-dir DIR
 */
import { parseArgs } from 'node:util';
import { DataLoader, type Batch, type Order } from '../data/data-loader.ts';
import type { Examples } from '../data/example-store.ts';
import { objectiveOf } from '../data/objective.ts';
import { packExamples } from '../data/packing.ts';
import { loadData } from '../data/source.ts';
import { Engine } from '../engine/engine.ts';
import { runOptionsSchema } from '../experiments/options.ts';
import { loadModel } from '../models/checkpoint.ts';
import { peftConfig } from '../peft/create-config.ts';
import { getPeftModel } from '../peft-model/create.ts';
import { optimizationOf, trainingLoss } from '../train/model-loss.ts';
import { TrainingSteps } from '../train/training-steps.ts';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    train: { type: 'string' },
    task: { type: 'string' },
    'data-dir': { type: 'string' },
    'max-length': { type: 'string', default: '128' },
    'batch-size': { type: 'string', default: '32' },
    'max-train-examples': { type: 'string' },
    packing: { type: 'boolean', default: false },
    steps: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
  },
});
const { model: dir, train, task, 'data-dir': dataDir, packing } = values;
if (dir === undefined) throw new Error('--model: missing');
const [maxLength, batchSize, steps, rounds] = (['max-length', 'batch-size', 'steps', 'rounds'] as const).map((name) =>
  Number(values[name]),
) as [number, number, number, number];

/** A way from examples to batches. */
interface Plan {
  readonly name: string;
  readonly examples: Examples;
  readonly rows: number;
  readonly order: Order;
  readonly megaBatchMult?: number;
}

const options = runOptionsSchema.parse({
  ...{
    preset: {},
    peft: { dropout: 0 },
    train: {},
    distill: {},
    load: {},
    engine: {},
    estimate: {},
    decide: {},
    slice: {},
  },
  data: {
    maxLength,
    ...(values['max-train-examples'] !== undefined && { maxTrainExamples: Number(values['max-train-examples']) }),
    ...(packing && { taskType: 'CAUSAL_LM', lossOn: 'all' }),
  },
});
const checkpoint = await loadModel(dir);
const data = await loadData(checkpoint, { task, dataDir, train }, options.data);
const plans: Plan[] = [
  { name: 'at random', examples: data.train, rows: batchSize, order: 'shuffle' },
  { name: 'by length', examples: data.train, rows: batchSize, order: 'bucket' },
  { name: 'by length, mega-batches of 4', examples: data.train, rows: batchSize, order: 'bucket', megaBatchMult: 4 },
];
if (packing) {
  const packed = packExamples(data.train, { maxLength });
  // As many examples a step as the others have, about.
  const rows = Math.max(1, Math.round((batchSize * packed.length) / data.train.length));
  plans.push({ name: `packed, ${rows} rows a batch`, examples: packed, rows, order: 'shuffle' });
}

const engine = await Engine.open();
const model = await getPeftModel(engine, checkpoint, peftConfig(options.peft), {
  ...options.load,
  ...{ head: data.head, labels: data.labels, seed: 0 },
});
const loss = (packed: boolean): TrainingSteps<Batch> =>
  new TrainingSteps(
    trainingLoss(model, objectiveOf(model, data.train), packed),
    optimizationOf(model, options.train, 1e6),
  );
const [apart, together] = [loss(false), loss(true)];
const runs = plans.map((plan) => ({
  ...plan,
  training: plan.name.startsWith('packed') ? together : apart,
  loader: new DataLoader(plan.examples, {
    ...{ batchSize: plan.rows, order: plan.order, megaBatchMult: plan.megaBatchMult, seed: 0 },
    ...{ padId: checkpoint.config.padTokenId, maxLength },
  }),
  ...{ tokens: 0, wall: 0, cpu: 0 },
}));

const tokensOf = (batches: readonly Batch[]): number =>
  batches.reduce((sum, { attentionMask }) => sum + attentionMask.reduce((a, b) => a + b, 0), 0);

for (const { name, loader } of runs) {
  const epoch = Array.from({ length: loader.perEpoch }, (_, i) => loader.at(0, i));
  const positions = epoch.reduce((sum, { batch, seq }) => sum + batch * seq, 0);
  const padding = ((1 - tokensOf(epoch) / positions) * 100).toFixed(1);
  console.log(`${name}: ${epoch.length} batches an epoch, ${positions} positions, padding ${padding} %`);
}
let step = 0;
for (let round = 0; round < rounds; round++) {
  for (const run of runs) {
    // Spread over the epoch, so that all lengths come.
    const places = Array.from({ length: steps }, (_, i) => {
      const share = (round * steps + i + 0.5) / (rounds * steps);
      return Math.floor(share * run.loader.perEpoch);
    });
    const batches = places.map((place) => run.loader.at(0, place));
    // What is compiled is not timed.
    for (const batch of batches) await run.training.run(step++, batch);
    await engine.finish();
    const [started, before] = [performance.now(), process.cpuUsage()];
    for (const batch of batches) await run.training.run(step++, batch);
    await engine.finish();
    const { user, system } = process.cpuUsage(before);
    run.wall += (performance.now() - started) / 1000;
    run.cpu += (user + system) / 1e6;
    run.tokens += tokensOf(batches);
  }
}
for (const { name, tokens, wall, cpu } of rounds > 0 ? runs : []) {
  const rates = `${(tokens / wall).toFixed(1)} tokens/s, ${(tokens / cpu).toFixed(1)} a second of processor time`;
  console.log(`${name}: ${rates} (${steps * rounds} steps, ${tokens} tokens)`);
}
engine.close();
