/** Room: train/report. The scores of a comparison: accuracy and F1 of classifiers, perplexity of language models. */
import type { MethodSummary } from './aggregate.ts';
import { measure, points, score, times } from './numbers.ts';

export const METRICS = ['accuracy', 'f1', 'perplexity'] as const;

export type Metric = (typeof METRICS)[number];

/** How a score is shown. */
export interface MetricStyle {
  readonly name: string;
  /** A figure without its unit. */
  readonly text: (value: number) => string;
  readonly unit: '%' | '';
  /** Of a method against the reference. */
  readonly relative?: (relative: NonNullable<MethodSummary['relative']>) => string | undefined;
}

export const METRIC_STYLES: Readonly<Record<Metric, MetricStyle>> = {
  accuracy: {
    name: 'Accuracy',
    text: score,
    unit: '%',
    relative: ({ accuracy }) => (accuracy === undefined ? undefined : points(accuracy)),
  },
  f1: { name: 'F1', text: score, unit: '%' },
  perplexity: {
    name: 'Perplexity',
    text: measure,
    unit: '',
    relative: ({ perplexity }) => (perplexity === undefined ? undefined : times(perplexity)),
  },
};

/** The scores that all of these methods have. */
export function metricsOf(methods: readonly MethodSummary[]): Metric[] {
  return METRICS.filter((metric) => methods.every((method) => method[metric]));
}
