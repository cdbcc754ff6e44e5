/** Room: report. The scores of a comparison, and how each is shown. */
import type { MethodSummary } from './aggregate.ts';
import { fixed, measure, points, score, signed, times } from './numbers.ts';
import { METRICS, type Metric, type Task } from './schema.ts';

/** How a score is shown. */
export interface MetricStyle {
  readonly name: string;
  /** A figure without its unit. */
  readonly text: (value: number) => string;
  readonly unit: '%' | '';
  /** What it can be, in its unit, and the least that pictures tell apart. */
  readonly range: { readonly low: number; readonly high: number; readonly step: number };
  /** Of a method against the reference. */
  readonly relative?: (relative: NonNullable<MethodSummary['relative']>) => string | undefined;
}

const SHARE = { text: score, unit: '%', range: { low: 0, high: 100, step: 1 } } as const;
const CORRELATION = { text: (r: number) => fixed(r, 3), unit: '', range: { low: -1, high: 1, step: 0.01 } } as const;

/** Shows a figure where there is one. */
const shown =
  (key: 'accuracy' | 'exactMatch' | 'matthews' | 'perplexity' | 'mse', text: (value: number) => string) =>
  (relative: NonNullable<MethodSummary['relative']>): string | undefined => {
    const value = relative[key];
    return value === undefined ? undefined : text(value);
  };

export const METRIC_STYLES: Readonly<Record<Metric, MetricStyle>> = {
  average: { name: 'Average', text: (value) => fixed(value, 4), unit: '', range: { low: -1, high: 1, step: 0.01 } },
  accuracy: { name: 'Accuracy', ...SHARE, relative: shown('accuracy', points) },
  accuracyNorm: { name: 'Accuracy by length', ...SHARE },
  exactMatch: { name: 'Exact match', ...SHARE, relative: shown('exactMatch', points) },
  f1: { name: 'F1', ...SHARE },
  f1Macro: { name: 'Macro F1', ...SHARE },
  f1a: { name: 'F1a', ...SHARE },
  f1m: { name: 'F1m', ...SHARE },
  genderParity: { name: 'Gender parity', ...SHARE },
  matthews: { name: 'Matthews', ...CORRELATION, relative: shown('matthews', (r) => signed(r, 3)) },
  hasAnsExactMatch: { name: 'HasAns exact', ...SHARE },
  hasAnsF1: { name: 'HasAns F1', ...SHARE },
  noAnsExactMatch: { name: 'NoAns exact', ...SHARE },
  noAnsF1: { name: 'NoAns F1', ...SHARE },
  perplexity: {
    name: 'Perplexity',
    text: measure,
    unit: '',
    range: { low: 0, high: Infinity, step: 1 },
    relative: shown('perplexity', times),
  },
  mse: {
    name: 'Mean squared error',
    text: measure,
    unit: '',
    range: { low: 0, high: Infinity, step: 0.01 },
    relative: shown('mse', times),
  },
  pearson: { name: 'Pearson', ...CORRELATION },
  spearman: { name: 'Spearman', ...CORRELATION },
};

/** The scores that all of these methods have. */
export function metricsOf(methods: readonly MethodSummary[]): Metric[] {
  return METRICS.filter((metric) => methods.every((method) => method[metric]));
}

/** A plain classifier's score, where it has it. */
export function baselineScore(baseline: Task['baseline'], metric: Metric): number | undefined {
  return metric === 'accuracy' || metric === 'f1' ? baseline?.[metric] : undefined;
}
