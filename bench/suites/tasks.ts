/** Room: bench/suites. A step on two tasks with each strategy of gradient control, beside two plain steps; and its memory. */
import { z } from 'zod';
import type { Batch } from '../../data/data-loader.ts';
import { objectiveOf } from '../../data/objective.ts';
import type { Engine } from '../../engine/engine.ts';
import type { PeftModel } from '../../peft-model/peft-model.ts';
import { controlsOf, STRATEGIES } from '../../train/gradient-control/options.ts';
import { gradientLayers } from '../../train/gradient-control/layers.ts';
import { optimizationOf, trainingLoss } from '../../train/model-loss.ts';
import type { RunSteps } from '../../train/run-steps.ts';
import { TaskSteps } from '../../train/task-steps.ts';
import { TrainingSteps } from '../../train/training-steps.ts';
import { benchOptions, openPeft, randomBatch, writeRandomModel, type EncoderShape } from '../encoder/model.ts';
import { interleave, type Candidate } from '../measure/sample.ts';
import { sampleSchema, type Measured } from '../report/document.ts';
import type { BenchContext, Suite } from '../suite.ts';

export const tasks: Suite = {
  name: 'tasks',
  summary: 'a step on two tasks with each strategy, beside two plain steps',
  peers: [],
  measure,
};

/** The step of the suite `step`. */
const ENCODER: EncoderShape = { layers: 4, hidden: 256, heads: 4, neurons: 1024, vocab: 8192, positions: 128 };
const QUICK: EncoderShape = { layers: 2, hidden: 32, heads: 2, neurons: 64, vocab: 64, positions: 32 };

const PLAIN = 'two plain steps';

const measuredSchema = z.object({
  samples: z.record(z.string(), sampleSchema),
  /** Bytes of gradients, and of activations, by candidate. */
  gradients: z.record(z.string(), z.number()),
  activations: z.record(z.string(), z.number()),
});

async function measure(context: BenchContext): Promise<Measured> {
  const found = await context.part('strategies', measuredSchema, () => measureAll(context));
  const plain = found?.samples[PLAIN];
  const rows = Object.entries(found?.samples ?? {}).map(([name, sample]) => ({
    name,
    time: sample,
    ratio: sample.median / plain!.median,
    gradients: found!.gradients[name]!,
    activations: found!.activations[name]!,
  }));
  const slowest = found && Math.max(...rows.map(({ ratio }) => ratio));
  return {
    tables: [
      {
        title: 'A step on two tasks',
        caption: 'LoRA on an encoder; a batch of each task. Gradients and activations are bytes on the device.',
        columns: [
          { key: 'name', title: 'strategy', unit: 'text' },
          { key: 'time', title: 'time', unit: 'time' },
          { key: 'ratio', title: '× two plain steps', unit: 'ratio' },
          { key: 'gradients', title: 'gradients', unit: 'bytes' },
          { key: 'activations', title: 'activations', unit: 'bytes' },
        ],
        rows,
      },
    ],
    figures: [],
    targets: context.quick
      ? []
      : [
          {
            what: 'two tasks over two plain steps',
            unit: 'ratio',
            relation: '≤',
            goal: 1.15,
            measured: slowest ?? null,
          },
        ],
    notes: [],
  };
}

async function measureAll({ engine, folder, quick, timing }: BenchContext): Promise<z.infer<typeof measuredSchema>> {
  const shape = quick ? QUICK : ENCODER;
  const dir = await writeRandomModel(folder, 'tasks', shape);
  const options = benchOptions();
  using model = await openPeft(engine, dir, options);
  const batch = randomBatch(model.base.config, quick ? 2 : 16, quick ? 16 : 128);
  const how = optimizationOf(model, options.train, 1);
  const loss = trainingLoss(model, objectiveOf(model));
  const bytes: Record<'gradients' | 'activations', Record<string, number>> = { gradients: {}, activations: {} };
  const all: RunSteps<Batch | readonly Batch[]>[] = [];
  const made = async <B extends Batch | readonly Batch[]>(
    name: string,
    open: () => RunSteps<B>,
    given: B,
    times: number,
  ): Promise<Candidate> => {
    const before = engine.memory.byKind().gradients ?? 0;
    const steps = open();
    await steps.run(0, given);
    all.push(steps);
    bytes.gradients[name] = (engine.memory.byKind().gradients ?? 0) - before;
    bytes.activations[name] = Math.max(...steps.programs.map(({ memory }) => memory.activations));
    return candidate(engine, name, async () => {
      for (let i = 0; i < times; i++) await steps.run(i, given);
    });
  };
  const candidates = [await made(PLAIN, () => new TrainingSteps(loss, how), batch, 2)];
  for (const name of STRATEGIES)
    candidates.push(await made(name, () => taskSteps(model, loss, how, name), [batch, batch], 1));
  const samples = Object.fromEntries(await interleave(candidates, timing));
  for (const steps of all) steps[Symbol.dispose]();
  return { samples, ...bytes };
}

function taskSteps(
  model: PeftModel,
  training: ReturnType<typeof trainingLoss>,
  how: ReturnType<typeof optimizationOf>,
  strategy: (typeof STRATEGIES)[number],
): TaskSteps {
  const names = ['first', 'second'] as const;
  const clnormTask = strategy.includes('clnorm') ? names[1] : undefined;
  const controls = controlsOf({ gradientControl: strategy, clnormTask });
  const tasks = names.map((name) => ({ name, training }));
  return new TaskSteps(tasks, { controls, layers: gradientLayers(model), seed: 0 }, how);
}

function candidate(engine: Engine, name: string, run: () => Promise<void>): Candidate {
  return {
    name,
    async time(runs) {
      const started = performance.now();
      for (let i = 0; i < runs; i++) await run();
      await engine.finish();
      return (performance.now() - started) / 1000;
    },
  };
}
