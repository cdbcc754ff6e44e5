/** Room: report/paper. What runs of the paper's table took and left: blocks, trainables, time, memory, files. Pure. */
import { mean, sum } from 'simple-statistics';
import { breakEven, type Timed } from '../break-even.ts';
import { markdownRows } from '../markdown-parts.ts';
import { bytes, duration, percent } from '../numbers.ts';
import { nameOf, partsOf, type PaperRow, type PaperTask } from './rows.ts';
import type { PaperPart } from './schema.ts';

/** Ends of two runs of one machine are nearer than that: the machine may be another one later. */
const HOURS = 2;

export const SIZES_TEXT = `Means over seeds; estimation and fine-tuning: over those of the latest day. Runs may have shared the machine with others: bench/RESULTS.md has speeds measured apart. Whole run: its time as a share of that without pruning, by pairs of runs with the same seed that ended within ${HOURS} hours, as machines differ. Faster from: optimizer steps, those of the estimation included, from which by these pairs the whole run takes less time than without pruning.`;

export function sizes(tasks: readonly PaperTask[], rows: readonly PaperRow[]): string {
  const head = [
    ...['method', 'task', 'blocks left', 'trainables left', 'estimation', 'fine-tuning', 'whole run', 'faster from'],
    ...['peak of training', 'mean', 'peak of inference', 'artefact'],
  ];
  const lines = tasks.flatMap((task) => rows.flatMap((row) => sizeLine(task, row, rows)));
  return markdownRows(head, lines);
}

/** A line of what was run. */
function sizeLine(task: PaperTask, row: PaperRow, rows: readonly PaperRow[]): string[][] {
  const parts = partsOf(task, row);
  if (parts.length === 0) return [];
  const reference = rows.find(({ peft, ratio }) => peft === row.peft && ratio === 0);
  const [share, bytesOf] = [percent, bytes].map((text) => (name: string) => {
    const known = parts.flatMap(({ metrics }) => metrics[name] ?? []);
    return known.length === 0 ? '–' : text(mean(known));
  }) as [(name: string) => string, (name: string) => string];
  const times = ['estimateSeconds', 'trainSeconds'].map((name) => duration(meanOf(ofLatestDay(parts), name)));
  const pairs = reference && row.ratio > 0 ? pairsOf(parts, partsOf(task, reference)) : [];
  return [
    [
      ...[nameOf(row), task.name, share('blockShare'), share('trainableShare'), ...times],
      ...(pairs.length > 0 ? [shareOfTime(pairs), fasterFrom(pairs)] : ['–', '–']),
      ...['trainPeakBytes', 'trainMeanBytes', 'inferPeakBytes', 'artefactBytes'].map(bytesOf),
    ],
  ];
}

const meanOf = (parts: readonly PaperPart[], name: string): number =>
  mean(parts.map(({ metrics }) => metrics[name] ?? 0));

function ofLatestDay(parts: readonly PaperPart[]): PaperPart[] {
  const latest = parts.map(dayOf).sort().at(-1);
  return parts.filter((part) => dayOf(part) === latest);
}

const dayOf = ({ date }: PaperPart): string => date.slice(0, 10);

/** A run, and the one without pruning that it can be timed against. */
type Pair = readonly [own: PaperPart, reference: PaperPart];

function pairsOf(own: readonly PaperPart[], reference: readonly PaperPart[]): Pair[] {
  return own.flatMap((part) => {
    const like = reference.find((other) => other.seed === part.seed && hoursBetween(part, other) <= HOURS);
    return like ? [[part, like] as const] : [];
  });
}

const hoursBetween = (a: PaperPart, b: PaperPart): number =>
  Math.abs(new Date(a.date).getTime() - new Date(b.date).getTime()) / 3_600_000;

function timesOfPairs(pairs: readonly Pair[]): [own: Timed, reference: Timed] {
  return [timesOf(pairs.map(([own]) => own)), timesOf(pairs.map(([, reference]) => reference))];
}

function shareOfTime(pairs: readonly Pair[]): string {
  const [own, reference] = timesOfPairs(pairs);
  return percent(own.seconds.total / reference.seconds.total);
}

function fasterFrom(pairs: readonly Pair[]): string {
  const [own, reference] = timesOfPairs(pairs);
  const steps = breakEven(own, reference, (reference.secondsPerStep ?? NaN) / (own.secondsPerStep ?? NaN));
  if (steps === undefined || Number.isNaN(steps)) return '–';
  return steps === Infinity ? 'never' : `${steps} steps`;
}

function timesOf(parts: readonly PaperPart[]): Timed {
  const [estimate, prune, train] = ['estimateSeconds', 'pruneSeconds', 'trainSeconds'].map((name) => meanOf(parts, name)) as [number, number, number]; // prettier-ignore
  const { steps, 'estimate-steps': estimated } = parts[0]!.config;
  const before = estimate > 0 ? Number(estimated) : 0;
  // Without an estimation its steps are trained too.
  const trained = Number(steps) + (estimate > 0 ? 0 : Number(estimated));
  const known = parts.every(({ metrics }) => metrics.secondsPerStep !== undefined);
  return {
    seconds: { estimate, prune, train, distill: 0, teacher: 0, total: sum([estimate, prune, train]) },
    steps: { estimate: before, train: trained },
    secondsPerStep: known ? meanOf(parts, 'secondsPerStep') : undefined,
  };
}
