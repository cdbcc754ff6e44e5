/** Room: data. Every figure that models are judged by, from labels and predictions; pure functions, in `metrics/`. */
export { bestOfGroups } from './metrics/groups.ts';
export { benchmarkScore, type BenchmarkName, type BenchmarkScore, type TaskScores } from './metrics/benchmark-score.ts';
export type { AnswerTexts } from './metrics/answers.ts';
export {
  classificationMetrics,
  labelSetMetrics,
  logitMetrics,
  type LabelSetMetrics,
  type LossMetrics,
  type Metrics,
} from './metrics/classification.ts';
export { regressionMetrics, type RegressionMetrics } from './metrics/regression.ts';
export { squadMetrics, type NoAnswerMetrics, type SquadAnswer, type SquadMetrics } from './metrics/squad.ts';
export { taskMetrics, type Judged, type MetricName } from './metrics/task-metrics.ts';
