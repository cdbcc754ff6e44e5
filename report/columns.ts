/** Room: report. The columns of the comparison, shared by the terminal, Markdown and HTML tables. */
import { FEW, type MethodSummary, type Spread, type TaskSummary } from './aggregate.ts';
import { baselineScore, METRIC_STYLES, metricsOf } from './metrics.ts';
import { bytes, change, duration, measure, percent, short, times, whole } from './numbers.ts';
import type { Comparison, Metric, Task } from './schema.ts';

/** A value and, where there is one, what it is relative to the whole or to the reference method. */
export interface Cell {
  readonly value: string;
  readonly note?: string | undefined;
}

export interface Column {
  /** Two lines. */
  readonly title: readonly [string, string];
  readonly cell: (method: MethodSummary) => Cell;
  /** Where a plain classifier has this figure too. */
  readonly baseline?: (baseline: NonNullable<Task['baseline']>) => string;
}

/** Two groups: scores and sizes, then times and memory. A table has both or one of them. */
export function columnsOf({ methods }: TaskSummary): readonly [readonly Column[], readonly Column[]] {
  return [[...metricsOf(methods).map(scoreColumn), ...SIZES], COSTS];
}

function scoreColumn(metric: Metric): Column {
  const { name, text, unit } = METRIC_STYLES[metric];
  return {
    title: [name.replace(/^[A-Z](?=[a-z]+\b)/, (letter) => letter.toLowerCase()), unit],
    cell: (m) => ({ value: spread(m[metric] as Spread, text), note: scoreRatio(m, metric) }),
    baseline: (plain) => {
      const value = baselineScore(plain, metric);
      return value === undefined ? '' : text(value);
    },
  };
}

const SIZES: readonly Column[] = [
  {
    title: ['foundation', 'left'],
    cell: (m) => ({ value: short(m.foundationLeft), note: percent(m.foundationShare) }),
  },
  {
    title: ['blocks', 'left'],
    cell: (m) => ({ value: short(m.blockLeft), note: percent(m.blockShare) }),
  },
  {
    title: ['PEFT', 'left'],
    cell: (m) => ({ value: short(m.trainableLeft), note: percent(m.trainableShare) }),
  },
  {
    title: ['artefact', 'on disk'],
    cell: (m) => ({ value: bytes(m.artefact), note: m.relative && change(m.relative.artefact) }),
  },
];

const COSTS: readonly Column[] = [
  {
    title: ['training', 'tokens/s'],
    cell: (m) => ({ value: measure(m.trainSpeed.mean), note: speedRatio(m, 'trainSpeed') }),
  },
  {
    title: ['wall time', 'in all'],
    cell: (m) => ({ value: duration(m.seconds.total), note: timeRatio(m) }),
  },
  {
    title: ['breaks', 'even at'],
    cell: (m) => ({ value: breakEvenText(m) ?? '' }),
  },
  {
    title: ['inference', 'examples/s'],
    cell: (m) => ({ value: measure(m.inferSpeed.mean), note: speedRatio(m, 'inferSpeed') }),
  },
  {
    title: ['training', 'peak'],
    cell: (m) => ({ value: bytes(m.trainPeak), note: m.relative && change(m.relative.trainPeak) }),
  },
  {
    title: ['inference', 'peak'],
    cell: (m) => ({ value: bytes(m.inferPeak), note: m.relative && change(m.relative.inferPeak) }),
  },
];

/** Marks a figure that stands on few steps or examples; `notes` says what the mark means. */
export const CAUTION = '†';

function careful(text: string, isFew: boolean): string {
  return isFew ? `${text} ${CAUTION}` : text;
}

/** A speed against the reference's: `1.45×`. */
export function speedRatio({ relative }: MethodSummary, of: 'trainSpeed' | 'inferSpeed'): string | undefined {
  return relative && careful(times(relative[of]), of === 'trainSpeed' ? relative.few.steps : relative.few.examples);
}

/** The wall time of all stages against the reference's: `1.04×`. */
export function timeRatio({ relative }: MethodSummary): string | undefined {
  return relative && careful(times(relative.seconds), relative.few.steps);
}

/** From how many steps on the wall time is below the reference's; undefined where there is nothing to say. */
export function breakEvenText({ relative }: MethodSummary): string | undefined {
  if (relative?.breakEven === undefined) return undefined;
  return careful(relative.breakEven === Infinity ? 'never' : whole(relative.breakEven), relative.few.steps);
}

/** A score against the reference's. */
export function scoreRatio({ relative }: MethodSummary, metric: Metric): string | undefined {
  const text = relative && METRIC_STYLES[metric].relative?.(relative);
  return text === undefined ? undefined : careful(text, relative!.few.examples);
}

/** `84.3 ± 0.4`, or the mean alone where there was one seed. */
function spread(value: Spread, format: (x: number) => string): string {
  return value.deviation === undefined ? format(value.mean) : `${format(value.mean)} ± ${format(value.deviation)}`;
}

/** `sentiment: 800 evaluation examples, 3 seeds`. */
export function taskLine(summary: TaskSummary): string {
  const { task, seeds } = summary;
  return `${task.name}: ${task.evalExamples} evaluation examples, ${seeds === 1 ? '1 seed' : `${seeds} seeds`}`;
}

/** Which methods learned from which teachers, and what of it is in their wall time. */
function distilledLine(methods: readonly MethodSummary[]): string {
  const taught = methods.filter(({ runs }) => runs.some((run) => run.distillation));
  const names = [...new Set(taught.map(({ label }) => label))].join(', ');
  const teachers = new Set(taught.flatMap(({ runs }) => runs.flatMap((run) => run.distillation?.teacher ?? [])));
  const costs = [
    'The wall time holds the teacher’s passes',
    ...(teachers.has('reference')
      ? ['where the reference is the teacher its whole training too, so that nothing breaks even']
      : []),
    ...(teachers.has('adapter') ? ['but not the training of an adapter that was there'] : []),
  ];
  return `${names} learned from the scores of a teacher too. ${costs.join(', ')}.`;
}

/** What the figures mean, one sentence each. */
export function notes(summaries: readonly TaskSummary[], comparison: Comparison): string[] {
  const reference = summaries.find((s) => s.reference)?.reference;
  const all = summaries.flatMap(({ methods }) => methods);
  const lines = [
    'Foundation left: parameters of the frozen base; blocks left: of its layers, embeddings apart; PEFT left: of the PEFT modules, head apart; each with the share left of what it was.',
    'Training tokens/s: of fine-tuning alone. Wall time: of all stages, estimation included; above 1× it took longer.',
    'Peaks are bytes of GPU buffers; 1 MB = 1,000,000 bytes.',
  ];
  if (reference) lines.unshift(`The figures beside (×, %, pt) compare with ${reference.label}.`);
  if (all.some((m) => m.relative?.breakEven !== undefined))
    lines.push(
      'Breaks even at: optimizer steps, those of the estimation included, from which the wall time is below the reference’s.',
    );
  if (all.some((m) => m.runs.some((run) => run.distillation))) lines.push(`Distilled: ${distilledLine(all)}`);
  if (all.some((m) => m.relative?.few.steps || m.relative?.few.examples))
    lines.push(
      `${CAUTION} Caution: measured on fewer than ${FEW.steps} timed steps or ${FEW.examples} examples, another run may give another ratio.`,
    );
  if (summaries.some((s) => s.seeds > 1)) lines.push('± is the sample standard deviation over seeds.');
  if (comparison.meta.software)
    lines.push('The adapter is software, on a CPU: read the ratios rather than the absolute speeds.');
  return lines;
}
