/** Room: bench/suites. What a step costs beside its arithmetic: JavaScript, creations, compilation, start-up, memory over its bound. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { toClassifier } from '../../train/assembly.ts';
import { trainOptions } from '../../train/stages.ts';
import { TrainingSteps } from '../../train/trainer.ts';
import { benchSettings, openPeft, randomBatch, writeRandomModel, type EncoderShape } from '../encoder/model.ts';
import { memoryBound, savedValues } from '../encoder/cost.ts';
import { countCreations, type Created } from '../measure/creations.ts';
import { summarise, type Sample } from '../measure/sample.ts';
import type { Measured, Table, Target } from '../report/document.ts';
import type { BenchContext, Suite } from '../suite.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const MODEL = join('checkpoints', 'light-roberta');

export const overhead: Suite = {
  name: 'overhead',
  summary: 'JavaScript and creations of a step, compile and start times cold and warm, memory over its bound',
  peers: [],
  measure,
};

/** The step whose overhead has targets: 4 layers, d = 256, FFN 1024, batch 16 × 128. */
const FULL = {
  shape: { layers: 4, hidden: 256, heads: 4, neurons: 1024, vocab: 8192, positions: 128 },
  ...{ batch: 16, seq: 128 },
};
const QUICK = {
  shape: { layers: 2, hidden: 64, heads: 2, neurons: 128, vocab: 256, positions: 32 },
  ...{ batch: 2, seq: 32 },
};

interface Setup {
  readonly shape: EncoderShape;
  readonly batch: number;
  readonly seq: number;
}

async function measure(context: BenchContext): Promise<Measured> {
  const setup: Setup = context.quick ? QUICK : FULL;
  context.stage('replaying a step');
  const dir = await writeRandomModel(context.folder, 'overhead', setup.shape);
  const replay = await measureReplay(context, dir, setup);
  context.stage('compiling, cold and warm');
  const compile = await measureCompile(dir, setup, context.quick);
  context.stage('starting light-peft train, cold and warm');
  const starts = await measureStarts(context.folder, context.quick);
  const { layers, hidden, neurons, heads } = setup.shape;
  return {
    tables: [replayTable(replay), memoryTable(replay), startTable(compile, starts)],
    figures: [
      {
        kind: 'bars',
        title: 'Compiling and starting',
        unit: 'time',
        bars: [...compile, ...starts].map(({ name, seconds }) => ({
          label: name,
          parts: { seconds: seconds.median },
          own: true,
        })),
      },
    ],
    targets: targets(replay, starts, context.quick),
    notes: [
      `The step: LoRA r = 8 on six linears of ${layers} layers, d = ${hidden}, FFN ${neurons}, ${heads} heads, batch ${setup.batch} × ${setup.seq}.`,
      'JavaScript is the time until the call that enqueues a step returns; the device is idle before each.',
      'Creations are counted by wrapping the device’s methods while steps are replayed.',
      'Bound: weights + trainables × 4 + the values that no cheap recomputation removes (inputs of normalisations, q, k, v, attention’s output and log-sum-exp, pre-activations of the FFN).',
      'Cold: MESA_SHADER_CACHE_DIR is an empty folder, in a new process; warm: the same folder again. Drivers other than Mesa keep a cache elsewhere.',
    ],
  };
}

interface Replay {
  readonly dispatches: number;
  readonly replayed: number;
  /** Seconds of JavaScript a step: all of it, and enqueueing alone. */
  readonly whole: Sample;
  readonly enqueue: Sample;
  readonly created: Created;
  readonly planned: number;
  readonly allocated: number;
  readonly bound: number;
  readonly byKind: Readonly<Record<string, number>>;
}

async function measureReplay({ engine, quick }: BenchContext, dir: string, { batch, seq }: Setup): Promise<Replay> {
  const settings = benchSettings();
  engine.arena.release();
  const before = engine.memory.current;
  const assembly = await openPeft(engine, dir, settings);
  const classifier = toClassifier(engine, assembly);
  const steps = new TrainingSteps(classifier, trainOptions(settings, 1, {}));
  const data = randomBatch(assembly.base.config, batch, seq);
  const program = await steps.program(data);
  for (let i = 0; i < 3; i++) program.run(steps.inputs(i, data));
  await engine.finish();
  const counter = countCreations(engine.device);
  const times: { whole: number; enqueue: number }[] = [];
  const replayed = quick ? 10 : 50;
  for (let i = 0; i < replayed; i++) {
    const started = performance.now();
    const inputs = steps.inputs(i, data);
    const prepared = performance.now();
    program.run(inputs);
    const ended = performance.now();
    times.push({ whole: (ended - started) / 1000, enqueue: (ended - prepared) / 1000 });
    await engine.finish();
  }
  counter.stop();
  const held = engine.memory.byKind();
  const activations = program.memory.activations;
  const others = Object.entries(held).reduce((sum, [kind, bytes]) => sum + (kind === 'activations' ? 0 : bytes), 0);
  const { config, layers } = assembly.base;
  const saved = savedValues(config, layers, assembly.method!.modules, { batch, seq });
  const result: Replay = {
    dispatches: program.dispatches.length,
    replayed,
    whole: summarise(times.map((t) => t.whole)),
    enqueue: summarise(times.map((t) => t.enqueue)),
    created: { ...counter.created },
    planned: others + activations,
    allocated: engine.memory.current - before,
    bound: memoryBound({ weights: held.weights ?? 0, trainables: classifier.parameters.count, saved }),
    byKind: held,
  };
  steps.dispose();
  classifier.parameters.free();
  assembly.base.free();
  engine.arena.release();
  return result;
}

interface Start {
  readonly name: string;
  readonly seconds: Sample;
}

const compiled = z.object({ compile: z.number(), firstRun: z.number(), pipelines: z.number() });

/** A cold and some warm runs of a child with a cache folder of its own. */
async function coldAndWarm(warm: number, run: (cache: string) => Promise<number[]>): Promise<number[][]> {
  const cache = await mkdtemp(join(tmpdir(), 'light-peft-cache-'));
  const runs: number[][] = [];
  try {
    for (let i = 0; i <= warm; i++) runs.push(await run(cache));
    return runs;
  } finally {
    await rm(cache, { recursive: true, force: true });
  }
}

async function measureCompile(dir: string, { batch, seq }: Setup, quick: boolean): Promise<Start[]> {
  const script = join(ROOT, 'bench', 'children', 'compile.ts');
  const args = ['--import', 'tsx', script, dir, String(batch), String(seq)];
  const [cold, ...warm] = await coldAndWarm(quick ? 1 : 3, async (cache) => {
    const { compile, firstRun } = compiled.parse(JSON.parse((await child(args, cache)).stdout));
    return [compile, firstRun];
  });
  return ['compiling a step', 'its first run'].flatMap((name, i) => [
    { name: `${name}, cold`, seconds: summarise([cold![i]!]) },
    { name: `${name}, warm`, seconds: summarise(warm.map((run) => run[i]!)) },
  ]);
}

/** The real command on the bundled model and a built-in task, until it reports its first step. */
async function measureStarts(folder: string, quick: boolean): Promise<Start[]> {
  const out = join(folder, 'train');
  const size = quick ? ['--batch-size', '2', '--max-length', '16'] : ['--batch-size', '16', '--max-length', '64'];
  const args = [join('bin', 'light-peft.js'), 'train', '--model', MODEL, '--task', 'sentiment', '--steps', '1'];
  const [cold, ...warm] = await coldAndWarm(quick ? 1 : 3, async (cache) => {
    const { firstStep } = await child([...args, ...size, '--out', out], cache);
    if (firstStep === undefined) throw new Error('light-peft train reported no step');
    return [firstStep];
  });
  return [
    { name: 'light-peft train to its first step, cold', seconds: summarise(cold!) },
    { name: 'light-peft train to its first step, warm', seconds: summarise(warm.flat()) },
  ];
}

/** Runs Node with a shader cache of its own. @returns what it printed, and the seconds until it reported a step */
function child(args: readonly string[], cache: string): Promise<{ stdout: string; firstStep: number | undefined }> {
  const started = performance.now();
  const env = { ...process.env, MESA_SHADER_CACHE_DIR: cache };
  const process_ = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let last = '';
  let firstStep: number | undefined;
  process_.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  createInterface({ input: process_.stderr }).on('line', (line) => {
    last = line;
    if (firstStep === undefined && /^\s*step \d+\/\d+/.test(line)) firstStep = (performance.now() - started) / 1000;
  });
  return new Promise((resolve, reject) => {
    process_.on('error', reject);
    process_.on('close', (code) => {
      if (code === 0) resolve({ stdout, firstStep });
      else reject(new Error(`node ${args.join(' ')} ended with ${String(code)}: ${last}`));
    });
  });
}

function replayTable({ dispatches, replayed, whole, enqueue, created }: Replay): Table {
  const { buffers, pipelines, 'bind groups': groups } = created;
  return {
    title: 'Replaying a step',
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
      { name: 'dispatches of a step', time: null, count: dispatches },
      { name: 'buffers created', time: null, count: buffers },
      { name: 'bind groups created', time: null, count: groups },
      { name: 'pipelines and modules created', time: null, count: pipelines },
    ],
  };
}

function memoryTable({ planned, allocated, bound, byKind }: Replay): Table {
  return {
    title: 'Memory of a step',
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
      ...Object.entries(byKind).map(([kind, bytes]) => ({ name: `allocated: ${kind}`, bytes, share: bytes / bound })),
    ],
  };
}

function startTable(compile: readonly Start[], starts: readonly Start[]): Table {
  return {
    title: 'Compiling and starting',
    caption: 'Processes of their own; cold once, warm several times.',
    columns: [
      { key: 'name', title: 'what', unit: 'text' },
      { key: 'seconds', title: 'time', unit: 'time' },
    ],
    rows: [...compile, ...starts].map(({ name, seconds }) => ({ name, seconds })),
  };
}

function targets(replay: Replay, starts: readonly Start[], quick: boolean): Target[] {
  const { created, dispatches, enqueue, planned, allocated, bound } = replay;
  const none = (kind: keyof Created): Target => ({
    what: `${kind} created while replaying`,
    unit: 'count',
    relation: '=',
    goal: 0,
    measured: created[kind],
  });
  const always: Target[] = [
    none('buffers'),
    none('bind groups'),
    none('pipelines'),
    {
      what: 'allocated bytes over planned bytes',
      unit: 'exponent',
      relation: '=',
      goal: 1,
      measured: allocated / planned,
    },
  ];
  if (quick) return always;
  const start = (kind: string): number => starts.find((s) => s.name.endsWith(kind))!.seconds.median;
  return [
    ...always,
    {
      what: 'JavaScript of a dispatch',
      unit: 'time',
      relation: '<',
      goal: 3e-6,
      measured: enqueue.median / dispatches,
    },
    { what: 'dispatches of a step', unit: 'count', relation: '≤', goal: 150, measured: dispatches },
    { what: 'peak over the lower bound', unit: 'ratio', relation: '≤', goal: 1.1, measured: allocated / bound },
    { what: 'warm start to the first step', unit: 'time', relation: '<', goal: 3, measured: start('warm') },
    { what: 'cold start to the first step', unit: 'time', relation: '<', goal: 20, measured: start('cold') },
  ];
}
