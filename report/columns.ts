/** Room: report. The columns of the comparison, shared by the terminal, Markdown and HTML tables. */
import type { MethodSummary, Spread, TaskSummary } from './aggregate.ts';
import { baselineScore, METRIC_STYLES, metricsOf } from './metrics.ts';
import { bytes, change, measure, percent, short, times } from './numbers.ts';
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

/** Scores, then costs. */
export function columnsOf({ methods }: TaskSummary): readonly Column[] {
  return [...metricsOf(methods).map(scoreColumn), ...COSTS];
}

function scoreColumn(metric: Metric): Column {
  const { name, text, unit, relative } = METRIC_STYLES[metric];
  return {
    title: [name === 'F1' ? name : name.toLowerCase(), unit],
    cell: (m) => ({ value: spread(m[metric] as Spread, text), note: m.relative && relative?.(m.relative) }),
    baseline: (plain) => {
      const value = baselineScore(plain, metric);
      return value === undefined ? '' : text(value);
    },
  };
}

const COSTS: readonly Column[] = [
  {
    title: ['foundation', 'left'],
    cell: (m) => ({ value: short(m.foundationLeft), note: `blocks ${percent(m.blockShare)}` }),
  },
  {
    title: ['trainable', 'left'],
    cell: (m) => ({ value: short(m.trainableLeft), note: percent(m.trainableShare) }),
  },
  {
    title: ['training', 'tokens/s'],
    cell: (m) => ({ value: measure(m.trainSpeed.mean), note: m.relative && times(m.relative.trainSpeed) }),
  },
  {
    title: ['inference', 'examples/s'],
    cell: (m) => ({ value: measure(m.inferSpeed.mean), note: m.relative && times(m.relative.inferSpeed) }),
  },
  {
    title: ['training', 'peak'],
    cell: (m) => ({ value: bytes(m.trainPeak), note: m.relative && change(m.relative.trainPeak) }),
  },
  {
    title: ['inference', 'peak'],
    cell: (m) => ({ value: bytes(m.inferPeak), note: m.relative && change(m.relative.inferPeak) }),
  },
  {
    title: ['artefact', 'on disk'],
    cell: (m) => ({ value: bytes(m.artefact), note: m.relative && change(m.relative.artefact) }),
  },
];

/** `84.3 ± 0.4`, or the mean alone where there was one seed. */
function spread(value: Spread, format: (x: number) => string): string {
  return value.deviation === undefined ? format(value.mean) : `${format(value.mean)} ± ${format(value.deviation)}`;
}

/** `sentiment: 800 evaluation examples, 3 seeds`. */
export function taskLine(summary: TaskSummary): string {
  const { task, seeds } = summary;
  return `${task.name}: ${task.evalExamples} evaluation examples, ${seeds === 1 ? '1 seed' : `${seeds} seeds`}`;
}

/** What the figures mean, one sentence each. */
export function notes(summaries: readonly TaskSummary[], comparison: Comparison): string[] {
  const reference = summaries.find((s) => s.reference)?.reference;
  const lines = [
    'Foundation left: parameters of the frozen base, then the share left of its blocks (embeddings apart).',
    'Peaks are bytes of GPU buffers; 1 MB = 1,000,000 bytes.',
  ];
  if (reference) lines.unshift(`The figures beside (×, %, pt) compare with ${reference.label}.`);
  if (summaries.some((s) => s.seeds > 1)) lines.push('± is the sample standard deviation over seeds.');
  if (comparison.meta.software)
    lines.push('The adapter is software, on a CPU: read the ratios rather than the absolute speeds.');
  return lines;
}
