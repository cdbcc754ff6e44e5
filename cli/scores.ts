/** Room: cli. Scores on evaluation data as a line for people. */
import { fixed, measure } from '../report/numbers.ts';
import type { Evaluation } from '../train/evaluate.ts';

export function scoresLine(metrics: Evaluation['metrics']): string {
  const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;
  if ('perplexity' in metrics) return `Perplexity ${measure(metrics.perplexity)} over ${metrics.count} tokens`;
  if ('mse' in metrics) {
    const { mse, pearson, spearman } = metrics;
    return `Mean squared error ${measure(mse)}, Pearson ${fixed(pearson, 4)}, Spearman ${fixed(spearman, 4)}`;
  }
  if ('exactMatch' in metrics) return `Exact match ${percent(metrics.exactMatch)}, F1 ${percent(metrics.f1)}`;
  return `Accuracy ${percent(metrics.accuracy)}, F1 ${percent(metrics.f1)}`;
}
