/** Room: cli. What `--profile` leaves: a table per kernel of the program that took longest, and a trace of all programs. */
import type { Engine } from '../engine/engine.ts';
import { writeFileAtomic } from '../engine/io/files.ts';
import { nanosecondsOf, type ProgramProfile, type Profiler } from '../engine/profile/profiler.ts';
import { measureRates, type Rates } from '../engine/profile/rates.ts';
import { summarise, type KernelRow } from '../engine/profile/summary.ts';
import { traceOf } from '../engine/profile/trace.ts';
import { measure, percent, times } from '../report/numbers.ts';
import { plainTable } from '../report/plain-table.ts';

/** Programs named below the table. */
const OTHERS = 5;
/** Part of a program's time below which kernels are summed up. */
const LEAST_SHARE = 0.002;

/** Writes the trace to `path`. @returns the text for the terminal */
export async function finishProfile(engine: Engine, profiler: Profiler, path: string): Promise<string> {
  const profiles = await profiler.profiles();
  const [longest, ...others] = profiles;
  if (!longest) return '--profile: every program ran only once, there is nothing to time; take more steps.';
  engine.profiler = undefined;
  engine.observer = undefined;
  const rates = await measureRates(engine);
  await writeFileAtomic(path, JSON.stringify(traceOf(profiles, engine.adapter)));
  return [
    profileTable(longest, rates),
    ...others.slice(0, OTHERS).map((profile) => `${profile.name}: ${summaryLine(profile)}`),
    ...(others.length > OTHERS ? [`and ${others.length - OTHERS} programs more, in the trace`] : []),
    `Floor: ${gigas(rates.flops)} GFLOP/s and ${gigas(rates.bytes)} GB/s, measured with a large product and a large copy.`,
    `Trace: ${path} (open it in chrome://tracing or ui.perfetto.dev)`,
  ].join('\n');
}

function summaryLine(profile: ProgramProfile): string {
  const { runs, dispatches } = profile;
  return `${runs} runs of ${measure(nanosecondsOf(profile) / 1e6)} ms in ${dispatches.length} kernels`;
}

const COLUMNS: readonly (readonly [title: string, cell: (row: KernelRow) => string])[] = [
  ['shape', (row) => row.shape],
  ['calls', (row) => String(row.calls)],
  ['ms', (row) => measure(row.seconds * 1e3)],
  ['share', (row) => percent(row.share)],
  ['GFLOP/s', (row) => gigas(row.flopsPerSecond)],
  ['GB/s', (row) => gigas(row.bytesPerSecond)],
  ['× floor', (row) => times(row.overFloor)],
];

/** At most 80 columns wide, without colours or a final line break. */
export function profileTable(profile: ProgramProfile, rates: Rates): string {
  const rows = summarise(profile, rates);
  const shown = rows.filter((row) => row.share >= LEAST_SHARE);
  const rest = rows.slice(shown.length).reduce((sum, row) => sum + row.seconds, 0);
  const others = [`${rows.length - shown.length} others`, '', '', measure(rest * 1e3)];
  const table = plainTable(
    ['kernel', ...COLUMNS.map(([title]) => title)],
    [
      ...shown.map((row) => [row.name, ...COLUMNS.map(([, cell]) => cell(row))]),
      ...(shown.length < rows.length ? [others] : []),
    ],
  );
  return `Program “${profile.name}”: ${summaryLine(profile)}\n${table}`;
}

function gigas(perSecond: number): string {
  return measure(perSecond / 1e9);
}
