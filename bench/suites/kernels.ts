/** Room: bench/suites. Every kernel at training shapes: how fast, and how far from the least time this adapter needs. */
import type { Program } from '../../engine/compile/program.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { copy } from '../../engine/ops/copy.ts';
import type { Variable } from '../../engine/variable.ts';
import type { Kernel } from '../../kernels/kernel.ts';
import { toClassifier } from '../../train/assembly.ts';
import { trainOptions } from '../../train/stages.ts';
import { TrainingSteps } from '../../train/trainer.ts';
import { benchSettings, openPeft, randomBatch, writeRandomModel } from '../encoder/model.ts';
import { floorSeconds, type Rates } from '../measure/floor.ts';
import { alternate, rate, summarise, type Sample } from '../measure/sample.ts';
import type { PeerWork } from '../peers/peer.ts';
import type { Measured, Table, Target } from '../report/document.ts';
import {
  OWN,
  ownContender,
  peerCells,
  peerColumns,
  race,
  ratioTo,
  type BenchContext,
  type Race,
  type Suite,
} from '../suite.ts';
import { decoderCases } from './decoder-cases.ts';
import { kernelCases, randomData, type KernelCase, type KernelSizes } from './kernel-cases.ts';

const FULL: KernelSizes = {
  ...{ batch: 16, seq: 128, hidden: 256, heads: 4, neurons: 1024 },
  ...{ rank: 8, square: 1024, vocab: 8192 },
};
const QUICK: KernelSizes = {
  ...{ batch: 2, seq: 32, hidden: 64, heads: 2, neurons: 128 },
  ...{ rank: 8, square: 128, vocab: 256 },
};

export const kernels: Suite = {
  name: 'kernels',
  summary: 'every kernel at training shapes, beside its floor and the peers',
  peers: ['tfjs', 'tfjs-nice', 'jax-js', 'jax-js-nice', 'torch'],
  measure,
};

interface Timed {
  readonly name: string;
  readonly family: KernelCase['family'];
  readonly kernels: readonly Kernel[];
  readonly race: Race;
}

async function measure(context: BenchContext): Promise<Measured> {
  const sizes = context.quick ? QUICK : FULL;
  const timed: Timed[] = [];
  for (const one of [...kernelCases(sizes, context.engine.traits.f16), ...decoderCases(sizes)]) {
    context.stage(one.name);
    timed.push(await timeCase(context, one));
  }
  context.stage('copy rate');
  const bytes = await copyRate(context);
  const fastest = Math.max(...timed.filter((t) => t.family === 'product').map((t) => flopsOf(t) / secondsOf(t)));
  const rates = { flops: fastest, bytes };
  context.stage('kernels inside a training step');
  const inside = await insideStep(context, sizes, rates);
  return {
    tables: [aloneTable(context, timed, rates), inside, ratesTable(rates)],
    figures: [
      {
        kind: 'bars',
        title: 'Products, operations a second',
        unit: 'rate',
        bars: timed.filter((t) => t.family === 'product').flatMap(productBars(context)),
      },
      {
        kind: 'bars',
        title: 'Time over floor',
        unit: 'ratio',
        bars: timed.map((t) => ({ label: t.name, parts: { ratio: overFloor(t, rates) }, own: true })),
      },
    ],
    targets: targets(context, timed),
    notes: [
      'Floor: operations over the fastest product, bytes over the fastest copy, the larger of the two, kernel by kernel.',
      ...new Set(timed.flatMap((t) => t.race.absent)),
    ],
  };
}

async function timeCase(context: BenchContext, one: KernelCase): Promise<Timed> {
  const { engine } = context;
  const variables: Record<string, Variable> = {};
  for (const [name, { shape, data, dtype }] of Object.entries(one.inputs))
    variables[name] = engine.variable(name, shape, { kind: 'state', dtype, data });
  const tensors = Object.fromEntries(Object.entries(variables).map(([name, v]) => [name, v.tensor]));
  const program = await engine.compile(one.name, {}, () => ({ outputs: one.build(tensors) }));
  try {
    program.run();
    const outputs = await readOutputs(program, one.build(tensors));
    one.check(outputs);
    const result = one.work
      ? await race(
          context,
          ownContender(engine, () => program.run()),
          one.work,
          outputs,
          tolerance(one.work),
        )
      : { samples: await alternate([ownContender(engine, () => program.run())], context.timing), absent: [] };
    const { name, family } = one;
    return { name, family, kernels: program.dispatches.map((d) => d.kernel), race: result };
  } finally {
    program.dispose();
    for (const variable of Object.values(variables)) engine.free(variable);
  }
}

/** Peers approximate exponentials in their own ways. */
function tolerance({ name }: PeerWork): number {
  return name === 'matmul' ? 2e-4 : 2e-3;
}

async function readOutputs(program: Program, outputs: Record<string, Tensor>): Promise<Record<string, Float32Array>> {
  const entries: [string, Float32Array][] = [];
  for (const name of Object.keys(outputs)) entries.push([name, await program.read(name)]);
  return Object.fromEntries(entries);
}

/** The fastest of copies from what fits caches to what does not. @returns bytes read and written a second */
async function copyRate({ engine, quick, timing }: BenchContext): Promise<number> {
  const sizes = quick ? [2 ** 16] : [2 ** 18, 2 ** 20, 2 ** 22, 2 ** 24];
  let fastest = 0;
  for (const length of sizes) {
    const source = engine.variable('source', [length], { kind: 'state', data: randomData(length, 1) });
    const program = await engine.compile('copy', {}, () => ({ outputs: { y: copy(source.tensor) } }));
    const { median } = (await alternate([ownContender(engine, () => program.run())], timing)).get(OWN)!;
    fastest = Math.max(fastest, (8 * length) / median);
    program.dispose();
    engine.free(source);
  }
  return fastest;
}

const own = ({ race: { samples } }: Timed): Sample => samples.get(OWN)!;
const secondsOf = (timed: Timed): number => own(timed).median;
const flopsOf = (timed: Pick<Timed, 'kernels'>): number => timed.kernels.reduce((sum, k) => sum + k.flops, 0);
const bytesOf = (timed: Pick<Timed, 'kernels'>): number => timed.kernels.reduce((sum, k) => sum + k.bytes, 0);
const overFloor = (timed: Timed, rates: Rates): number => secondsOf(timed) / floorSeconds(timed.kernels, rates);

function aloneTable(context: BenchContext, timed: readonly Timed[], rates: Rates): Table {
  return {
    title: 'Kernels alone',
    caption:
      'Time of one op, submitted by itself; results were checked in float64, and against each peer, before timing.',
    columns: [
      { key: 'name', title: 'kernel', unit: 'text' },
      { key: 'time', title: 'time', unit: 'time' },
      { key: 'flops', title: 'FLOP/s', unit: 'rate' },
      { key: 'bytes', title: 'B/s', unit: 'bytes' },
      { key: 'floor', title: '× floor', unit: 'ratio' },
      ...peerColumns(context),
    ],
    rows: timed.map((t) => ({
      name: t.name,
      time: own(t),
      flops: flopsOf(t) / secondsOf(t),
      bytes: bytesOf(t) / secondsOf(t),
      floor: overFloor(t, rates),
      ...peerCells(t.race),
    })),
  };
}

function ratesTable({ flops, bytes }: Rates): Table {
  return {
    title: 'Best rates of this run',
    caption: 'What floors are computed from.',
    columns: [
      { key: 'what', title: 'rate', unit: 'text' },
      { key: 'flops', title: 'FLOP/s', unit: 'rate' },
      { key: 'bytes', title: 'B/s', unit: 'bytes' },
    ],
    rows: [
      { what: 'product', flops, bytes: null },
      { what: 'copy, read and written', flops: null, bytes },
    ],
  };
}

function productBars({ peers }: BenchContext) {
  return (timed: Timed): { label: string; parts: Record<string, number>; own: boolean }[] =>
    [...timed.race.samples].map(([name, sample]) => {
      const label = peers.present.find((p) => p.name === name)?.label ?? 'this engine';
      const value = rate(flopsOf(timed), sample).median;
      return { label: `${timed.name}, ${label}`, parts: { rate: value }, own: name === OWN };
    });
}

/** Each kind of dispatch of a LoRA step, timed by the device's clock while the step runs. */
async function insideStep(
  { engine, folder, quick, timing }: BenchContext,
  s: KernelSizes,
  rates: Rates,
): Promise<Table> {
  const shape = { layers: quick ? 1 : 4, hidden: s.hidden, heads: s.heads, neurons: s.neurons };
  const dir = await writeRandomModel(folder, 'profiled', { ...shape, vocab: s.vocab, positions: s.seq });
  const settings = benchSettings();
  const assembly = await openPeft(engine, dir, settings);
  const classifier = toClassifier(engine, assembly);
  const steps = new TrainingSteps(classifier, trainOptions(settings, 1, {}));
  const batch = randomBatch(assembly.base.config, s.batch, s.seq);
  const program = await steps.program(batch);
  const profiles: number[][] = [];
  const profiled = engine.device.features.has('timestamp-query');
  for (let i = 0; profiled && i <= timing.repeats; i++) {
    const times = await program.profile(steps.inputs(i, batch));
    if (i > 0) profiles.push(times);
  }
  const rows = profiled ? insideRows(program, profiles, rates) : [];
  steps.dispose();
  classifier.parameters.free();
  assembly.base.free();
  return {
    title: `Kernels inside a LoRA step of ${shape.layers} layers, batch ${s.batch} × ${s.seq}`,
    caption: profiled
      ? 'Summed over the dispatches of one name in a step, by the device’s timestamps.'
      : 'Not measured: the device has no timestamp-query.',
    columns: [
      { key: 'name', title: 'kernel', unit: 'text' },
      { key: 'count', title: 'dispatches', unit: 'count' },
      { key: 'time', title: 'time', unit: 'time' },
      { key: 'share', title: 'of the step', unit: 'share' },
      { key: 'flops', title: 'FLOP/s', unit: 'rate' },
      { key: 'bytes', title: 'B/s', unit: 'bytes' },
      { key: 'floor', title: '× floor', unit: 'ratio' },
    ],
    rows,
  };
}

function insideRows(program: Program, profiles: readonly (readonly number[])[], rates: Rates): Table['rows'] {
  const all = program.dispatches.map((d) => d.kernel);
  const names = [...new Set(all.map((k) => k.name))];
  const groups = names.map((name) => {
    const own = all.filter((k) => k.name === name);
    const sums = profiles.map((times) => all.reduce((sum, k, i) => sum + (k.name === name ? times[i]! : 0), 0) / 1e9);
    return { name, kernels: own, time: summarise(sums) };
  });
  const whole = summarise(profiles.map((times) => times.reduce((a, b) => a + b, 0) / 1e9));
  const row = (name: string, kernels: readonly Kernel[], time: Sample): Table['rows'][number] => ({
    name,
    count: kernels.length,
    time,
    share: time.median / whole.median,
    flops: flopsOf({ kernels }) / time.median,
    bytes: bytesOf({ kernels }) / time.median,
    floor: time.median / floorSeconds(kernels, rates),
  });
  const sorted = groups.sort((a, b) => b.time.median - a.time.median);
  return [...sorted.map((g) => row(g.name, g.kernels, g.time)), row('whole step', all, whole)];
}

function targets({ engine, quick }: BenchContext, timed: readonly Timed[]): Target[] {
  if (!engine.adapter.software || quick) return [];
  return timed.slice(0, 3).flatMap((t): Target[] => {
    const peer = (name: 'tfjs' | 'jax-js', label: string): Target => ({
      what: `${t.name}: × ${label}, its defaults`,
      unit: 'ratio',
      relation: '≥',
      goal: 7,
      measured: ratioTo(t.race, name),
    });
    const speed: Target = {
      what: `${t.name}: FLOP/s`,
      unit: 'rate',
      relation: '≥',
      goal: 55e9,
      measured: flopsOf(t) / secondsOf(t),
    };
    return [speed, peer('tfjs', 'TensorFlow.js'), peer('jax-js', 'jax-js')];
  });
}
