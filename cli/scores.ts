/** Room: cli. Scores on evaluation data as a line for people. */
import type { LossMetrics } from '../train/data/metrics.ts';
import type { LanguageMetrics } from '../train/lm/evaluate.ts';
import { measure } from '../train/report/numbers.ts';

export function scoresLine(metrics: LossMetrics | LanguageMetrics): string {
  if ('perplexity' in metrics) return `Perplexity ${measure(metrics.perplexity)} over ${metrics.count} tokens`;
  const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;
  return `Accuracy ${percent(metrics.accuracy)}, F1 ${percent(metrics.f1)}`;
}
