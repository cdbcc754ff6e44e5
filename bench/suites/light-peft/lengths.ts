/** Room: bench/suites. Batches of like lengths beside mixed ones: the same real sentences, the same steps, less padding. */
import { join } from 'node:path';
import { z } from 'zod';
import type { Program } from '../../../engine/compile/program.ts';
import { DataLoader, type Batch } from '../../../data/data-loader.ts';
import { loadData } from '../../../data/source.ts';
import { loadModel } from '../../../models/checkpoint.ts';
import { benchOptions, openPeft } from '../../encoder/model.ts';
import { trainingSteps } from '../../encoder/steps.ts';
import { interleave, rate, type Candidate } from '../../measure/sample.ts';
import { sampleSchema, type Figure, type Table } from '../../report/document.ts';
import { ownCandidate, type BenchContext } from '../../suite.ts';

const MODEL = join(import.meta.dirname, '..', '..', '..', 'checkpoints', 'light-roberta');
const TASK = 'sentiment';

const FULL = { examples: 512, batchSize: 16, maxLength: 64 };
const QUICK = { examples: 32, batchSize: 4, maxLength: 64 };

const ORDERS = [
  { name: 'like lengths together (default)', order: 'bucket' },
  { name: 'mixed (--no-bucket)', order: 'shuffle' },
] as const;

export const lengthsSchema = z.object({
  title: z.string(),
  /** One epoch of each order. */
  orders: z.array(
    z.object({
      name: z.string(),
      steps: z.number(),
      /** Tokens of the examples, and token positions of the batches. */
      tokens: z.number(),
      positions: z.number(),
      time: sampleSchema,
    }),
  ),
});

type Lengths = z.infer<typeof lengthsSchema>;

export async function compareLengths({ engine, quick, timing }: BenchContext): Promise<Lengths> {
  const { examples, batchSize, maxLength } = quick ? QUICK : FULL;
  const options = benchOptions({ data: { maxLength }, train: { batchSize } });
  const data = await loadData(await loadModel(MODEL), { task: TASK }, options.data);
  const chosen = [...data.train].slice(0, examples);
  const model = await openPeft(engine, MODEL, options);
  const steps = trainingSteps(model, options);
  let t = 0;
  const epochs = ORDERS.map(({ name, order }) => {
    const { seed } = options.train;
    const loader = new DataLoader(chosen, { batchSize, order, seed, padId: model.base.config.padTokenId, maxLength });
    return { name, batches: [...loader.epoch(0)] };
  });
  const candidates: Candidate[] = [];
  for (const { name, batches } of epochs) {
    const programs: Program[] = [];
    for (const batch of batches) programs.push(await steps.program(batch));
    const epoch = (): void => batches.forEach((batch, i) => programs[i]!.run(steps.inputs(t++, batch)));
    candidates.push(ownCandidate(engine, epoch, name));
  }
  const samples = await interleave(candidates, timing);
  steps.dispose();
  model.dispose();
  engine.arena.release();
  return {
    title: `${chosen.length} sentences of the task ${TASK}, ${batchSize} a batch, on the bundled model`,
    orders: epochs.map(({ name, batches }) => ({ name, ...countsOf(batches), time: samples.get(name)! })),
  };
}

function countsOf(batches: readonly Batch[]): { steps: number; tokens: number; positions: number } {
  return {
    steps: batches.length,
    tokens: batches.reduce((sum, { attentionMask }) => sum + attentionMask.reduce((a, b) => a + b, 0), 0),
    positions: batches.reduce((sum, { batch, seq }) => sum + batch * seq, 0),
  };
}

export function bucketTable({ title, orders }: Lengths): Table {
  const mixed = orders.at(-1)!;
  return {
    title: `Length-bucketed batches: ${title}`,
    caption:
      'One epoch of LoRA steps on the same examples. Tokens are those of the sentences; padding is computed and counts for nothing.',
    columns: [
      { key: 'name', title: 'order', unit: 'text' },
      { key: 'steps', title: 'steps', unit: 'count' },
      { key: 'tokens', title: 'tokens', unit: 'count' },
      { key: 'positions', title: 'positions computed', unit: 'count' },
      { key: 'padding', title: 'padding', unit: 'share' },
      { key: 'time', title: 'epoch', unit: 'time' },
      { key: 'speed', title: 'tokens/s', unit: 'number' },
      { key: 'ratio', title: 'speed-up', unit: 'ratio' },
      { key: 'allowed', title: 'by positions', unit: 'ratio' },
    ],
    rows: orders.map(({ name, steps, tokens, positions, time }) => ({
      name,
      steps,
      tokens,
      positions,
      padding: 1 - tokens / positions,
      time,
      speed: rate(tokens, time).median,
      ratio: mixed.time.median / time.median,
      allowed: mixed.positions / positions,
    })),
  };
}

export function bucketFigure({ title, orders }: Lengths): Figure {
  const bars = orders.map(({ name, tokens, time }, i) => ({
    label: name,
    parts: { 'tokens/s': tokens / time.median },
    own: i === 0,
  }));
  return { kind: 'bars', title: `Training tokens a second: ${title}`, unit: 'number', bars };
}
