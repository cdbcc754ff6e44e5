/** Room: bench/suites. What logs, a callback and evaluations add to the steps of a training between them: the same trainings, in turn. */
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { EncodedExample } from '../../data/encoded-example.ts';
import type { TrainerCallback } from '../../train/callbacks.ts';
import { CsvLog, JsonlLog, TensorBoardLog } from '../../train/logs/index.ts';
import { train } from '../../train/train.ts';
import { benchOptions, openPeft, randomBatch, writeRandomModel, type EncoderShape } from '../encoder/model.ts';
import { summarise } from '../measure/sample.ts';
import { sampleSchema, type Measured } from '../report/document.ts';
import type { BenchContext, Suite } from '../suite.ts';

export const bookkeeping: Suite = {
  name: 'bookkeeping',
  summary: 'what three logs, a callback and evaluations add to a step',
  peers: [],
  measure,
};

interface Case {
  readonly name: string;
  readonly shape: EncoderShape;
  readonly batch: number;
  readonly seq: number;
  /** Of a training, the first of which are not timed. */
  readonly steps: number;
  /** Trainings without and with. */
  readonly pairs: number;
}

/** The step that has the target, that of the suite `step`. */
const ENCODER: Case = {
  name: 'encoder',
  shape: { layers: 4, hidden: 256, heads: 4, neurons: 1024, vocab: 8192, positions: 128 },
  ...{ batch: 16, seq: 128, steps: 32, pairs: 4 },
};

/** What is added does not depend on the shape: beside a small step it can be seen. */
const SMALL: Case = {
  name: 'small step',
  shape: { layers: 1, hidden: 32, heads: 2, neurons: 64, vocab: 64, positions: 16 },
  ...{ batch: 2, seq: 16, steps: 528, pairs: 12 },
};

/** Losses are read back as often; the first time, programs have been compiled. */
const READ_EVERY = 16;

const pairSchema = z.object({
  /** Seconds of a step. */
  plain: sampleSchema,
  kept: sampleSchema,
  /** Of the pairs. */
  added: sampleSchema,
});

const measuredSchema = z.object({ wall: pairSchema, cpu: pairSchema });

async function measure(context: BenchContext): Promise<Measured> {
  const cases = context.quick ? [{ ...SMALL, steps: 48, pairs: 2 }] : [ENCODER, SMALL];
  const rows: Record<string, z.infer<typeof sampleSchema> | string | number>[] = [];
  const found = new Map<string, z.infer<typeof measuredSchema>>();
  for (const one of cases) {
    const measured = await context.part(one.name, measuredSchema, () => measureCase(context, one));
    if (!measured) continue;
    found.set(one.name, measured);
    for (const clock of ['wall', 'cpu'] as const)
      rows.push({ name: `${one.name}, ${clock}`, ...measured[clock], steps: one.steps - READ_EVERY, pairs: one.pairs });
  }
  const [encoder, small] = [found.get(ENCODER.name), found.get(SMALL.name)];
  const share = encoder && small ? small.cpu.added.median / encoder.wall.plain.median : null;
  return {
    tables: [
      {
        title: 'A step without and with logs, a callback and evaluations',
        caption: 'Medians of trainings; “added” is the median of the differences of pairs.',
        columns: [
          { key: 'name', title: 'step, clock', unit: 'text' },
          { key: 'plain', title: 'without', unit: 'time' },
          { key: 'kept', title: 'with', unit: 'time' },
          { key: 'added', title: 'added', unit: 'time' },
          { key: 'steps', title: 'steps timed', unit: 'count' },
          { key: 'pairs', title: 'pairs', unit: 'count' },
        ],
        rows,
      },
    ],
    figures: [],
    targets: context.quick
      ? []
      : [{ what: 'added to an encoder step', unit: 'share', relation: '<', goal: 0.01, measured: share }],
    notes: [
      'With: `--log-jsonl`, `--log-csv`, `--log-tensorboard`, a callback that hears of steps, and an evaluation after the last step, which is not timed.',
      'The target takes the processor time that is added to the small step, as it does not depend on the shape, over the time of the encoder’s.',
      'Processor time is that of the whole process; on a software adapter the device is in it.',
    ],
  };
}

async function measureCase({ engine, folder }: BenchContext, one: Case): Promise<z.infer<typeof measuredSchema>> {
  const dir = await writeRandomModel(folder, `bookkeeping-${one.name}`, one.shape);
  const options = benchOptions();
  const model = await openPeft(engine, dir, options);
  const examples = examplesOf(randomBatch(model.base.config, one.batch, one.seq), one);
  const run = async (isKept: boolean): Promise<Clocks> => {
    const logs = join(await mkdtemp(join(folder, 'logs-')), 'log');
    const callbacks: TrainerCallback[] = [
      new JsonlLog(`${logs}.jsonl`),
      new CsvLog(`${logs}.csv`),
      new TensorBoardLog(logs),
      { onStep: () => undefined },
    ];
    const kept = { callbacks, evalStrategy: 'steps', evalSteps: one.steps, evaluation: { examples } } as const;
    const numbers = { ...options.train, steps: one.steps, batchSize: one.batch };
    let [first, last] = [clocks(), clocks()];
    const onReport = ({ step }: { readonly step: number }): void => {
      last = clocks();
      if (step === READ_EVERY) first = last;
    };
    await train(model, examples, { ...numbers, ...(isKept && kept), onReport });
    const steps = one.steps - READ_EVERY;
    return { wall: (last.wall - first.wall) / steps, cpu: (last.cpu - first.cpu) / steps };
  };
  for (const isKept of [false, true]) await run(isKept);
  const pairs: { plain: Clocks; kept: Clocks }[] = [];
  for (let i = 0; i < one.pairs; i++) {
    const [a, b] = i % 2 === 0 ? [false, true] : [true, false];
    const both = [await run(a), await run(b)] as const;
    const [plain, kept] = a ? [both[1], both[0]] : both;
    pairs.push({ plain, kept });
  }
  model.dispose();
  const of = (clock: keyof Clocks): z.infer<typeof pairSchema> => ({
    plain: summarise(pairs.map(({ plain }) => plain[clock])),
    kept: summarise(pairs.map(({ kept }) => kept[clock])),
    added: summarise(pairs.map(({ plain, kept }) => kept[clock] - plain[clock])),
  });
  return { wall: of('wall'), cpu: of('cpu') };
}

/** Seconds: of the clock, and of the process on all processors. */
interface Clocks {
  readonly wall: number;
  readonly cpu: number;
}

function clocks(): Clocks {
  const { user, system } = process.cpuUsage();
  return { wall: performance.now() / 1000, cpu: (user + system) / 1e6 };
}

function examplesOf({ inputIds, labels }: ReturnType<typeof randomBatch>, { batch, seq }: Case): EncodedExample[] {
  return Array.from({ length: batch }, (_, i) => ({
    ids: inputIds.slice(i * seq, (i + 1) * seq),
    mask: new Int32Array(seq).fill(1),
    typeIds: new Int32Array(seq),
    label: labels[i]!,
  }));
}
