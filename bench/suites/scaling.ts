/** Room: bench/suites. How the cost of a LoRA step grows with each size, and how it should. */
import { z } from 'zod';
import { benchOptions, openPeft, writeRandomModel, type EncoderShape } from '../encoder/model.ts';
import { blockFlops, peftFlops, type BatchShape } from '../encoder/cost.ts';
import { makeResident, total, type Resident } from '../encoder/resident.ts';
import { demandSchema, demandsOf, rooflineSeconds, type Rates } from '../measure/roofline.ts';
import { fitPower } from '../measure/fit.ts';
import { interleave } from '../measure/sample.ts';
import { measureRates } from '../rates.ts';
import { sampleSchema, type Figure, type Measured, type Table } from '../report/document.ts';
import type { BenchContext, Suite } from '../suite.ts';

export const scaling: Suite = {
  name: 'scaling',
  summary: 'how a LoRA step grows with tokens, layers, rank, sequence length and model size',
  peers: [],
  measure,
};

interface Setup extends EncoderShape, BatchShape {
  readonly rank: number;
}

const FULL: Setup = {
  ...{ layers: 2, hidden: 128, heads: 2, neurons: 512, vocab: 2048, positions: 512 },
  ...{ batch: 8, seq: 128, rank: 8 },
};
const QUICK: Setup = { ...FULL, hidden: 64, neurons: 128, heads: 1, batch: 2, seq: 16, vocab: 256 };

interface Axis {
  readonly name: string;
  /** What is changed, on the horizontal axis. */
  readonly x: string;
  readonly sizes: readonly number[];
  at(base: Setup, size: number): Setup;
}

const AXES: readonly Axis[] = [
  { name: 'tokens (batch)', x: 'batch rows', sizes: [2, 4, 8, 16, 32], at: (s, batch) => ({ ...s, batch }) },
  { name: 'layers', x: 'layers', sizes: [1, 2, 4, 8], at: (s, layers) => ({ ...s, layers }) },
  { name: 'LoRA rank', x: 'rank', sizes: [4, 8, 16, 32, 64], at: (s, rank) => ({ ...s, rank }) },
  {
    name: 'sequence length, tokens the same',
    x: 'tokens of a sequence',
    sizes: [32, 64, 128, 256, 512],
    at: (s, seq) => ({ ...s, seq, batch: Math.max(1, (s.batch * s.seq) / seq) }),
  },
  {
    name: 'model size (width)',
    x: 'width',
    sizes: [64, 128, 256, 512],
    at: (s, hidden) => ({ ...s, hidden, neurons: 4 * hidden, heads: hidden / 64 }),
  },
];

const pointsSchema = z.array(
  z.object({
    size: z.number(),
    time: sampleSchema,
    flops: z.number(),
    bytes: z.number(),
    /** What the kernels of the step must do at least. */
    kernels: z.array(demandSchema),
  }),
);

type Point = z.infer<typeof pointsSchema>[number];

async function measure(context: BenchContext): Promise<Measured> {
  const base = context.quick ? QUICK : FULL;
  const rates = await measureRates(context);
  const curves: { axis: Axis; points: Point[] }[] = [];
  for (const axis of AXES) {
    const sizes = context.quick ? axis.sizes.slice(0, 2) : axis.sizes;
    const points = await context.part(axis.name, pointsSchema, () => measureAxis(context, axis, sizes, base));
    if (points) curves.push({ axis, points });
  }
  const { layers, hidden, neurons, heads, batch, seq, rank } = base;
  return {
    tables: [exponents(curves), pointsTable(curves, rates)],
    figures: curves.map(({ axis, points }) => curveFigure(axis, points)),
    targets: [],
    notes: [
      `Around ${layers} layers of ${hidden} and ${neurons}, ${heads} heads, batch ${batch} × ${seq}, r = ${rank}; sizes of one axis were interleaved.`,
      'Roofline: a step’s kernels at the best product and copy rates of this run, the larger of the two for each.',
      'Exponents are least squares on logarithms. Expected: the same fit through the operations that the step needs by its shapes (blocks and LoRA).',
    ],
  };
}

async function measureAxis(
  { engine, folder, timing }: BenchContext,
  axis: Axis,
  sizes: readonly number[],
  base: Setup,
): Promise<Point[]> {
  const residents: { size: number; flops: number; resident: Resident }[] = [];
  for (const size of sizes) {
    const setup = axis.at(base, size);
    const options = benchOptions({ peft: { r: setup.rank, loraAlpha: 2 * setup.rank } });
    const dir = await writeRandomModel(folder, `${axis.x}-${size}`.replaceAll(' ', '-'), setup);
    const open = () => openPeft(engine, dir, options);
    const resident = await makeResident(engine, String(size), setup, options, open);
    const { base: model, method } = resident.model;
    const flops = blockFlops(model.config, model.layers, setup, 'lora') + peftFlops(method!.modules, setup);
    residents.push({ size, flops, resident });
  }
  const samples = await interleave(
    residents.map((r) => r.resident.training),
    timing,
  );
  const points = residents.map(({ size, flops, resident }) => ({
    size,
    flops,
    time: samples.get(resident.name)!,
    bytes: total(resident.trainBytes),
    kernels: demandsOf(resident.train),
  }));
  for (const { resident } of residents) resident.free();
  engine.arena.release();
  return points;
}

type Curves = readonly { readonly axis: Axis; readonly points: readonly Point[] }[];

function exponents(curves: Curves): Table {
  return {
    title: 'Fitted exponents',
    caption: 'e of cost = a · size^e, over the sizes of the table below.',
    columns: [
      { key: 'name', title: 'against', unit: 'text' },
      { key: 'time', title: 'time', unit: 'exponent' },
      { key: 'expected', title: 'expected', unit: 'exponent' },
      { key: 'fit', title: 'r²', unit: 'exponent' },
      { key: 'bytes', title: 'peak bytes', unit: 'exponent' },
    ],
    rows: curves.map(({ axis, points }) => {
      const fit = (cost: (p: Point) => number) => fitPower(points.map((p) => [p.size, cost(p)] as const));
      const time = fit((p) => p.time.median);
      return {
        name: axis.name,
        time: time.exponent,
        expected: fit((p) => p.flops).exponent,
        fit: time.rSquared,
        bytes: fit((p) => p.bytes).exponent,
      };
    }),
  };
}

function pointsTable(curves: Curves, rates: Rates | undefined): Table {
  return {
    title: 'Measured points',
    caption: 'One LoRA step: forward, backward, AdamW.',
    columns: [
      { key: 'name', title: 'size', unit: 'text' },
      { key: 'time', title: 'step', unit: 'time' },
      { key: 'flops', title: 'operations', unit: 'rate' },
      { key: 'speed', title: 'FLOP/s', unit: 'rate' },
      { key: 'floor', title: '× roofline', unit: 'ratio' },
      { key: 'bytes', title: 'peak', unit: 'bytes' },
    ],
    rows: curves.flatMap(({ axis, points }) =>
      points.map(({ size, time, flops, bytes, kernels }) => ({
        name: `${axis.x} ${size}`,
        time,
        flops,
        speed: flops / time.median,
        floor: rates ? time.median / rooflineSeconds(kernels, rates) : null,
        bytes,
      })),
    ),
  };
}

/** Measured times, and the operations' own growth through the largest size. */
function curveFigure({ name, x }: Axis, points: readonly Point[]): Figure {
  const last = points.at(-1)!;
  const expected = points.map((p): [number, number] => [p.size, (last.time.median * p.flops) / last.flops]);
  const measured = points.map((p): [number, number] => [p.size, p.time.median]);
  return {
    kind: 'lines',
    title: `Time of a step against ${name}`,
    x,
    unit: 'time',
    log: true,
    series: [
      { label: 'measured', points: measured, dashed: false },
      { label: 'as the operations grow', points: expected, dashed: true },
    ],
  };
}
