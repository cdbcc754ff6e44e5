/** Room: bench/suites. A step replayed: its JavaScript, what the device is asked to create, and its memory beside the lower bound. */
import { z } from 'zod';
import { memoryLowerBound } from '../../../engine/compile/memory-lower-bound.ts';
import { memoryBound, savedValues, type BatchShape } from '../../encoder/cost.ts';
import { benchOptions, openPeft, randomBatch, writeRandomModel, type EncoderShape } from '../../encoder/model.ts';
import { trainingSteps } from '../../encoder/steps.ts';
import { countCreations } from '../../measure/creations.ts';
import { summarise } from '../../measure/sample.ts';
import { sampleSchema, type Table } from '../../report/document.ts';
import type { BenchContext } from '../../suite.ts';
import { emptyStep } from './calls.ts';

export interface Setup extends BatchShape {
  readonly shape: EncoderShape;
}

export const replaySchema = z.object({
  /** Rate of dropout on the inputs of LoRA modules. */
  dropout: z.number(),
  dispatches: z.number(),
  replayed: z.number(),
  /** Seconds of JavaScript a step: all of it, and enqueueing alone. */
  whole: sampleSchema,
  enqueue: sampleSchema,
  /** The same of a step of as many empty dispatches, by WebGPU's calls alone. */
  calls: sampleSchema,
  created: z.object({ buffers: z.number(), 'bind groups': z.number(), pipelines: z.number() }),
  planned: z.number(),
  allocated: z.number(),
  /** By shapes, and by the minimum cut of the step's graph. */
  bound: z.number(),
  cutBound: z.number(),
  byKind: z.record(z.string(), z.number()),
});

export type Replay = z.infer<typeof replaySchema>;

export async function measureReplay(
  { engine, quick, folder }: BenchContext,
  { shape, batch, seq }: Setup,
  dropout: number,
): Promise<Replay> {
  const dir = await writeRandomModel(folder, 'overhead', shape);
  const options = benchOptions({ peft: { dropout } });
  engine.arena.release();
  const before = engine.memory.current;
  const model = await openPeft(engine, dir, options);
  const steps = trainingSteps(model, options);
  const data = randomBatch(model.base.config, batch, seq);
  const program = await steps.program(data);
  for (let i = 0; i < 3; i++) program.run(steps.inputs(i, data));
  const empty = emptyStep(engine.device, program.dispatches.length);
  empty.enqueue();
  await engine.finish();
  const counter = countCreations(engine.device);
  const times: { whole: number; enqueue: number; calls: number }[] = [];
  const replayed = quick ? 10 : 50;
  for (let i = 0; i < replayed; i++) {
    const started = performance.now();
    const inputs = steps.inputs(i, data);
    const prepared = performance.now();
    program.run(inputs);
    const ended = performance.now();
    await engine.finish();
    const bare = performance.now();
    empty.enqueue();
    const calls = (performance.now() - bare) / 1000;
    await engine.finish();
    times.push({ whole: (ended - started) / 1000, enqueue: (ended - prepared) / 1000, calls });
  }
  counter.stop();
  empty.free();
  const held = engine.memory.byKind();
  const activations = program.memory.activations;
  const others = Object.entries(held).reduce((sum, [kind, bytes]) => sum + (kind === 'activations' ? 0 : bytes), 0);
  const { config, layers } = model.base;
  const saved = savedValues(config, layers, model.method!.modules, { batch, seq });
  const result: Replay = {
    dropout,
    dispatches: program.dispatches.length,
    replayed,
    whole: summarise(times.map((t) => t.whole)),
    enqueue: summarise(times.map((t) => t.enqueue)),
    calls: summarise(times.map((t) => t.calls)),
    created: { ...counter.created },
    planned: others + activations,
    allocated: engine.memory.current - before,
    bound: memoryBound({ weights: held.weights ?? 0, trainables: model.parameters.count, saved }),
    cutBound: memoryLowerBound(held, program),
    byKind: held,
  };
  steps.dispose();
  model.dispose();
  engine.arena.release();
  return result;
}

/** @param title tells the step */
export function replayTable(title: string, { dispatches, replayed, whole, enqueue, calls, created }: Replay): Table {
  const { buffers, pipelines, 'bind groups': groups } = created;
  return {
    title: `Replaying ${title}`,
    caption: `Creations are those of ${replayed} steps together.`,
    columns: [
      { key: 'name', title: '', unit: 'text' },
      { key: 'time', title: 'time', unit: 'time' },
      { key: 'count', title: 'number', unit: 'count' },
    ],
    rows: [
      { name: 'JavaScript of a step, inputs included', time: whole, count: null },
      { name: 'JavaScript of enqueueing a step', time: enqueue, count: null },
      { name: 'JavaScript of a dispatch', time: enqueue.median / dispatches, count: null },
      { name: 'as many empty dispatches by WebGPU’s calls alone', time: calls, count: null },
      { name: 'an empty dispatch by WebGPU’s calls alone', time: calls.median / dispatches, count: null },
      { name: 'dispatches of a step', time: null, count: dispatches },
      { name: 'buffers created', time: null, count: buffers },
      { name: 'bind groups created', time: null, count: groups },
      { name: 'pipelines and modules created', time: null, count: pipelines },
    ],
  };
}

export function memoryTable(title: string, { planned, allocated, bound, cutBound, byKind }: Replay): Table {
  return {
    title: `Memory of ${title}`,
    caption:
      'Planned: variables, inputs, and what the program says it needs. Allocated: what the device was asked for.',
    columns: [
      { key: 'name', title: '', unit: 'text' },
      { key: 'bytes', title: 'bytes', unit: 'bytes' },
      { key: 'share', title: 'of the bound', unit: 'ratio' },
    ],
    rows: [
      { name: 'planned peak', bytes: planned, share: planned / bound },
      { name: 'allocated peak', bytes: allocated, share: allocated / bound },
      { name: 'lower bound', bytes: bound, share: 1 },
      { name: 'lower bound by the minimum cut of the graph', bytes: cutBound, share: cutBound / bound },
      ...Object.entries(byKind).map(([kind, bytes]) => ({ name: `allocated: ${kind}`, bytes, share: bytes / bound })),
    ],
  };
}
