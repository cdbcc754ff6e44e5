/** Room: bench/suites. Every kernel at training shapes: how fast, and how far from the least time this adapter needs. */
import { z } from 'zod';
import type { Program } from '../../engine/compile/program.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import type { Engine } from '../../engine/engine.ts';
import type { Variable } from '../../engine/variable.ts';
import { benchOptions, openPeft, randomBatch, writeRandomModel } from '../encoder/model.ts';
import { trainingSteps } from '../encoder/steps.ts';
import { demandSchema, demandsOf, rooflineSeconds, type Demand, type Rates } from '../measure/roofline.ts';
import { interleave, rate, summarise, type Sample, type TimingOptions } from '../measure/sample.ts';
import type { PeerWork } from '../peers/peer.ts';
import { measureRates } from '../rates.ts';
import { sampleSchema, type Measured, type Table, type Target } from '../report/document.ts';
import { formatNumber } from '../report/format.ts';
import {
  OWN,
  ownCandidate,
  peerCells,
  peerColumns,
  compareWithPeers,
  comparisonSchema,
  ratioTo,
  type BenchContext,
  type Suite,
} from '../suite.ts';
import { decoderCases } from './decoder-cases.ts';
import { kernelCases, type KernelCase, type KernelSizes } from './kernel-cases.ts';

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
  summary: 'every kernel at training shapes, beside its roofline and the peers',
  peers: ['tfjs', 'tfjs-patient', 'jax-js', 'jax-js-patient', 'torch', 'numpy'],
  measure,
};

const timedSchema = z.object({
  name: z.string(),
  family: z.enum(['product', 'other']),
  kernels: z.array(demandSchema),
  race: comparisonSchema,
});

type Timed = z.infer<typeof timedSchema>;

async function measure(context: BenchContext): Promise<Measured> {
  const sizes = context.quick ? QUICK : FULL;
  const best = await measureRates(context);
  const timed: Timed[] = [];
  for (const one of [...kernelCases(sizes, context.engine.traits.f16), ...decoderCases(sizes)]) {
    const result = await context.part(one.name, timedSchema, () => timeCase(context, one));
    if (result) timed.push(result);
  }
  const inside = await context.part('kernels inside a training step', insideSchema, () => insideStep(context, sizes));
  const products = timed.filter((t) => t.family === 'product');
  const fastest = Math.max(best?.flops ?? 0, ...products.map((t) => flopsOf(t) / secondsOf(t)));
  const rates = { flops: fastest, bytes: best?.bytes ?? Infinity };
  return {
    tables: [
      ratesTable(rates),
      aloneTable(timed, rates),
      besideTable(context, timed),
      ...(inside ? [insideTable(inside, rates)] : []),
    ],
    figures: [
      {
        kind: 'bars',
        title: 'Products, operations a second',
        unit: 'rate',
        bars: products.flatMap(productBars(context)),
      },
      {
        kind: 'bars',
        title: 'Time over roofline',
        unit: 'ratio',
        bars: timed.map((t) => ({ label: t.name, parts: { ratio: overRoofline(t, rates) }, own: true })),
      },
    ],
    targets: targets(context, timed),
    notes: [
      'Roofline: operations over the fastest product, bytes over the fastest copy, the larger of the two, kernel by kernel.',
      ...(inside ? separation(inside, rates) : []),
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
      ? await compareWithPeers(
          context,
          ownCandidate(engine, () => program.run()),
          one.work,
          outputs,
          tolerance(one.work),
        )
      : { samples: await alone(engine, program, context.timing), absent: [] };
    const { name, family } = one;
    return { name, family, kernels: demandsOf(program), race: result };
  } finally {
    program.dispose();
    for (const variable of Object.values(variables)) engine.free(variable);
  }
}

async function alone(engine: Engine, program: Program, timing: TimingOptions): Promise<Record<string, Sample>> {
  return Object.fromEntries(await interleave([ownCandidate(engine, () => program.run())], timing));
}

/** Peers approximate exponentials in their own ways. */
function tolerance({ name }: PeerWork): number {
  return name === 'matmul' ? 2e-4 : 2e-3;
}

async function readOutputs(program: Program, outputs: Record<string, Tensor>): Promise<Record<string, Float32Array>> {
  return Object.fromEntries(await program.readAll(Object.keys(outputs)));
}

const own = ({ race: { samples } }: Timed): Sample => samples[OWN]!;
const secondsOf = (timed: Timed): number => own(timed).median;
const flopsOf = ({ kernels }: { readonly kernels: readonly Demand[] }): number =>
  kernels.reduce((sum, k) => sum + k.flops, 0);
const bytesOf = ({ kernels }: { readonly kernels: readonly Demand[] }): number =>
  kernels.reduce((sum, k) => sum + k.bytes, 0);
const overRoofline = (timed: Timed, rates: Rates): number => secondsOf(timed) / rooflineSeconds(timed.kernels, rates);

/** Null for kernels that only move data. */
const someRate = (work: number, seconds: number): number | null => (work > 0 ? work / seconds : null);

function aloneTable(timed: readonly Timed[], rates: Rates): Table {
  return {
    title: 'Kernels alone',
    caption: 'Time of one op, submitted by itself; results were checked in float64 before timing.',
    columns: [
      { key: 'name', title: 'kernel', unit: 'text' },
      { key: 'time', title: 'time', unit: 'time' },
      { key: 'flops', title: 'FLOP/s', unit: 'rate' },
      { key: 'bytes', title: 'B/s', unit: 'bytes' },
      { key: 'floor', title: 'roofline', unit: 'time' },
      { key: 'over', title: '× roofline', unit: 'ratio' },
    ],
    rows: timed.map((t) => ({
      name: t.name,
      time: own(t),
      flops: someRate(flopsOf(t), secondsOf(t)),
      bytes: bytesOf(t) / secondsOf(t),
      floor: rooflineSeconds(t.kernels, rates),
      over: overRoofline(t, rates),
    })),
  };
}

function besideTable(context: BenchContext, timed: readonly Timed[]): Table {
  return {
    title: 'Kernels beside the peers',
    caption:
      'Results were compared with each peer’s before timing; candidates were interleaved. A dash: the peer has no such op.',
    columns: [
      { key: 'name', title: 'kernel', unit: 'text' },
      { key: 'time', title: 'this engine', unit: 'time' },
      ...peerColumns(context),
    ],
    rows: timed
      .filter((t) => Object.keys(t.race.samples).length > 1)
      .map((t) => ({ name: t.name, time: own(t), ...peerCells(t.race) })),
  };
}

function ratesTable({ flops, bytes }: Rates): Table {
  return {
    title: 'Best rates of this run',
    caption: 'What rooflines are computed from: the fastest product and the fastest copy.',
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
    Object.entries(timed.race.samples).map(([name, sample]) => {
      const label = peers.present.find((p) => p.name === name)?.label ?? 'this engine';
      const value = rate(flopsOf(timed), sample).median;
      return { label: `${timed.name}, ${label}`, parts: { rate: value }, own: name === OWN };
    });
}

const insideSchema = z.object({
  title: z.string(),
  /** By kernel name; empty where the device has no timestamps. */
  groups: z.array(
    z.object({
      name: z.string(),
      kernels: z.array(demandSchema),
      time: sampleSchema,
    }),
  ),
});

type Inside = z.infer<typeof insideSchema>;
type Group = Inside['groups'][number];

/** Each kind of dispatch of a LoRA step, timed by the device's clock while the step runs; the whole step comes last. */
async function insideStep({ engine, folder, quick, timing }: BenchContext, s: KernelSizes): Promise<Inside> {
  const shape = { layers: quick ? 1 : 4, hidden: s.hidden, heads: s.heads, neurons: s.neurons };
  const dir = await writeRandomModel(folder, 'profiled', { ...shape, vocab: s.vocab, positions: s.seq });
  const options = benchOptions();
  using model = await openPeft(engine, dir, options);
  using steps = trainingSteps(model, options);
  const batch = randomBatch(model.base.config, s.batch, s.seq);
  const program = await steps.program(batch);
  const profiles: number[][] = [];
  const profiled = engine.device.features.has('timestamp-query');
  for (let i = 0; profiled && i <= timing.repeats; i++) {
    const times = await program.profile(steps.inputs(i, batch));
    if (i > 0) profiles.push(times);
  }
  const groups = profiled ? groupsOf(program, profiles) : [];
  return { title: `a LoRA step of ${shape.layers} layers, batch ${s.batch} × ${s.seq}`, groups };
}

function groupsOf(program: Program, profiles: readonly (readonly number[])[]): Group[] {
  const names = program.dispatches.map((d) => d.kernel.name);
  const demands = demandsOf(program);
  const group = (name: string, chosen: (i: number) => boolean): Group => {
    const sums = profiles.map((times) => times.reduce((sum, time, i) => sum + (chosen(i) ? time : 0), 0) / 1e9);
    return { name, kernels: demands.filter((_, i) => chosen(i)), time: summarise(sums) };
  };
  const groups = [...new Set(names)].map((name) => group(name, (i) => names[i] === name));
  return [...groups.sort((a, b) => b.time.median - a.time.median), group('whole step', () => true)];
}

const aboveRoofline = ({ kernels, time }: Group, rates: Rates): number => time.median - rooflineSeconds(kernels, rates);

function insideTable({ title, groups }: Inside, rates: Rates): Table {
  const whole = groups.at(-1);
  return {
    title: `Kernels inside ${title}`,
    caption: whole
      ? 'Summed over the dispatches of one name in a step, by the device’s timestamps. Above roofline: what the kernel could still give the step.'
      : 'Not measured: the device has no timestamp-query.',
    columns: [
      { key: 'name', title: 'kernel', unit: 'text' },
      { key: 'count', title: 'dispatches', unit: 'count' },
      { key: 'time', title: 'time', unit: 'time' },
      { key: 'share', title: 'of the step', unit: 'share' },
      { key: 'flops', title: 'FLOP/s', unit: 'rate' },
      { key: 'bytes', title: 'B/s', unit: 'bytes' },
      { key: 'floor', title: '× roofline', unit: 'ratio' },
      { key: 'above', title: 'above roofline', unit: 'time' },
    ],
    rows: groups.map((group) => ({
      name: group.name,
      count: group.kernels.length,
      time: group.time,
      share: group.time.median / whole!.time.median,
      flops: someRate(flopsOf(group), group.time.median),
      bytes: bytesOf(group) / group.time.median,
      floor: group.time.median / rooflineSeconds(group.kernels, rates),
      above: Math.max(0, aboveRoofline(group, rates)),
    })),
  };
}

/** What separates the step from its roofline, in words. */
function separation({ title, groups }: Inside, rates: Rates): string[] {
  const whole = groups.at(-1);
  if (!whole) return [];
  const roofline = rooflineSeconds(whole.kernels, rates);
  const most = groups.slice(0, -1).sort((a, b) => aboveRoofline(b, rates) - aboveRoofline(a, rates));
  const parts = most.slice(0, 4).map((g) => `${g.name} ${formatNumber(aboveRoofline(g, rates), 'time')}`);
  return [
    `Of ${title} the kernels take ${formatNumber(whole.time.median, 'time')}, their roofline is ${formatNumber(roofline, 'time')}: ` +
      `${formatNumber(roofline / whole.time.median, 'share')} of the roofline’s speed. What separates them most: ${parts.join(', ')}.`,
  ];
}

const SPEED = 55e9;
const OF_OPENBLAS = 0.22;

function targets({ engine, quick }: BenchContext, timed: readonly Timed[]): Target[] {
  if (!engine.adapter.software || quick) return [];
  const goals = ['A·B ', 'FFN in, x·Wᵀ', 'FFN out, x·Wᵀ'];
  const chosen = timed.filter(({ name }) => goals.some((goal) => name.startsWith(goal)));
  return chosen.flatMap((t): Target[] => {
    const peer = (name: 'tfjs' | 'jax-js', label: string): Target => ({
      what: `${t.name}: × ${label}, its defaults`,
      unit: 'ratio',
      relation: '≥',
      goal: 7,
      measured: ratioTo(t.race, name),
    });
    const blas = t.race.samples.numpy;
    const goal = blas ? Math.min(SPEED, (OF_OPENBLAS * flopsOf(t)) / blas.median) : SPEED;
    const rule = `the lower of ${formatNumber(SPEED, 'rate')} and ${OF_OPENBLAS} × ${blas ? 'OpenBLAS' : 'OpenBLAS, which is missing'}`;
    return [
      { what: `${t.name}: FLOP/s (${rule})`, unit: 'rate', relation: '≥', goal, measured: flopsOf(t) / secondsOf(t) },
      peer('tfjs', 'TensorFlow.js'),
      peer('jax-js', 'jax-js'),
    ];
  });
}
