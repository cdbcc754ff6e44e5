/** Room: bench/suites. What a step costs beside its arithmetic: JavaScript, creations, compilation, start-up, memory over its bound. */
import type { Created } from '../measure/creations.ts';
import type { Measured, Target } from '../report/document.ts';
import type { BenchContext, Suite } from '../suite.ts';
import { measureReplay, memoryTable, replaySchema, replayTable, type Replay, type Setup } from './overhead/replay.ts';
import { measureCompile, measureStarts, startsSchema, startTable, type Start } from './overhead/starts.ts';

export const overhead: Suite = {
  name: 'overhead',
  summary: 'JavaScript and creations of a step, compile and start times cold and warm, memory over its bound',
  peers: [],
  measure,
};

/** The step whose overhead has targets: 4 layers, d = 256, FFN 1024, batch 16 × 128. */
const FULL: Setup = {
  shape: { layers: 4, hidden: 256, heads: 4, neurons: 1024, vocab: 8192, positions: 128 },
  ...{ batch: 16, seq: 128 },
};
const QUICK: Setup = {
  shape: { layers: 2, hidden: 64, heads: 2, neurons: 128, vocab: 256, positions: 32 },
  ...{ batch: 2, seq: 32 },
};

/** Rates of dropout on the inputs of LoRA modules. */
const DROPOUTS = [0, 0.05];

/** Start times with targets, by the ends of their names. */
const STARTS = [
  { kind: 'warm', goal: 3 },
  { kind: 'cold', goal: 20 },
];

async function measure(context: BenchContext): Promise<Measured> {
  const setup = context.quick ? QUICK : FULL;
  const replays: Replay[] = [];
  for (const dropout of DROPOUTS) {
    const replay = await context.part(`replaying ${titleOf(dropout)}`, replaySchema, () =>
      measureReplay(context, setup, dropout),
    );
    if (replay) replays.push(replay);
  }
  const compile = await context.part('compiling, cold and warm', startsSchema, () => measureCompile(context, setup));
  const starts = await context.part('starting light-peft train', startsSchema, () => measureStarts(context));
  const times = [...(compile ?? []), ...(starts ?? [])];
  const { layers, hidden, neurons, heads } = setup.shape;
  return {
    tables: [
      ...replays.flatMap((r) => [replayTable(titleOf(r.dropout), r), memoryTable(titleOf(r.dropout), r)]),
      ...(times.length > 0 ? [startTable(times)] : []),
    ],
    figures: times.length > 0 ? [startFigure(times)] : [],
    targets: [
      ...replays.flatMap((replay) => replayTargets(replay, context.quick)),
      ...(context.quick ? [] : startTargets(starts ?? [])),
    ],
    notes: [
      `The step: LoRA r = 8 on six linears of ${layers} layers, d = ${hidden}, FFN ${neurons}, ${heads} heads, batch ${setup.batch} × ${setup.seq}.`,
      'JavaScript is the time until the call that enqueues a step returns; the device is idle before each.',
      'Creations are counted by wrapping the device’s methods while steps are replayed.',
      'Bound: weights + trainables × 4 + the values that no cheap recomputation removes (inputs of normalisations, q, k, v, attention’s output and log-sum-exp, pre-activations of the FFN); dropout is drawn again and adds nothing to it.',
      'Cold: MESA_SHADER_CACHE_DIR is an empty folder, in a new process; warm: the same folder again. Drivers other than Mesa keep a cache elsewhere.',
    ],
  };
}

const titleOf = (dropout: number): string =>
  dropout > 0 ? `a step with dropout ${dropout}` : 'a step without dropout';

function startFigure(times: readonly Start[]): Measured['figures'][number] {
  const bars = times.map(({ name, seconds }) => ({ label: name, parts: { seconds: seconds.median }, own: true }));
  return { kind: 'bars', title: 'Compiling and starting', unit: 'time', bars };
}

function replayTargets(replay: Replay, quick: boolean): Target[] {
  const { dropout, created, dispatches, enqueue, planned, allocated, bound } = replay;
  const what = (text: string): string => `${titleOf(dropout)}: ${text}`;
  const none = (kind: keyof Created): Target => ({
    what: what(`${kind} created while replaying`),
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
      what: what('allocated bytes over planned bytes'),
      unit: 'exponent',
      relation: '=',
      goal: 1,
      measured: allocated / planned,
    },
  ];
  if (quick) return always;
  const javascript = enqueue.median / dispatches;
  return [
    ...always,
    { what: what('JavaScript of a dispatch'), unit: 'time', relation: '<', goal: 3e-6, measured: javascript },
    { what: what('dispatches'), unit: 'count', relation: '≤', goal: 150, measured: dispatches },
    { what: what('peak over the lower bound'), unit: 'ratio', relation: '≤', goal: 1.1, measured: allocated / bound },
  ];
}

function startTargets(starts: readonly Start[]): Target[] {
  return STARTS.map(({ kind, goal }) => {
    const measured = starts.find((s) => s.name.endsWith(kind))?.seconds.median ?? null;
    return { what: `${kind} start of light-peft train to its first step`, unit: 'time', relation: '<', goal, measured };
  });
}
