/** Room: cli. Scores on evaluation data as a line for people. */
import { METRIC_STYLES } from '../report/metrics.ts';
import { fixed, measure } from '../report/numbers.ts';
import { METRICS, type Metric } from '../report/schema.ts';
import type { SquadMetrics, TaskScores } from '../data/metrics.ts';
import type { Evaluation } from '../train/evaluate.ts';

/** `Accuracy 84.30 %, F1 84.21 %`: every score that there is, in the order of reports. */
export function scoresLine(metrics: Evaluation['metrics'] | SquadMetrics | TaskScores): string {
  if ('perplexity' in metrics) return `Perplexity ${measure(metrics.perplexity)} over ${metrics.count} tokens`;
  const all: Partial<Record<string, unknown>> = { ...metrics };
  return METRICS.flatMap((metric) => {
    const value = all[metric];
    return typeof value === 'number' ? [`${METRIC_STYLES[metric].name} ${scoreText(metric, value)}`] : [];
  }).join(', ');
}

function scoreText(metric: Metric, value: number): string {
  if (METRIC_STYLES[metric].unit === '%') return `${(100 * value).toFixed(2)} %`;
  return metric === 'mse' ? measure(value) : fixed(value, 4);
}
