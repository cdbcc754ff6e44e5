/** Room: data/metrics. GLUE's and SuperGLUE's one figure, the average over their tasks. Pure functions. */
import { meanOf } from './classes.ts';
import type { MetricName } from './task-metrics.ts';

/** For each task its data sets, for each of them the figures whose mean is its score. */
type Sets = Readonly<Record<string, Readonly<Record<string, readonly MetricName[]>>>>;

/** A task of one data set. */
const one = (name: string, ...metrics: MetricName[]) => ({ [name]: { [name]: metrics } });

const BENCHMARKS = {
  glue: {
    ...one('cola', 'matthews'),
    ...one('sst2', 'accuracy'),
    ...one('mrpc', 'accuracy', 'f1'),
    ...one('qqp', 'accuracy', 'f1'),
    ...one('stsb', 'pearson', 'spearman'),
    mnli: { mnli: ['accuracy'], mnli_mismatched: ['accuracy'] },
    ...one('qnli', 'accuracy'),
    ...one('rte', 'accuracy'),
    ...one('wnli', 'accuracy'),
  },
  superglue: {
    ...one('boolq', 'accuracy'),
    ...one('cb', 'accuracy', 'f1Macro'),
    ...one('copa', 'accuracy'),
    ...one('multirc', 'f1a', 'exactMatch'),
    ...one('record', 'f1', 'exactMatch'),
    ...one('rte', 'accuracy'),
    ...one('wic', 'accuracy'),
    ...one('wsc', 'accuracy'),
  },
} satisfies Record<string, Sets>;

/** A benchmark that has an average. */
export type BenchmarkName = keyof typeof BENCHMARKS;

/** Figures of a data set by name. */
export type TaskScores = Readonly<Partial<Record<MetricName, number>>>;

/** The average of a benchmark, and what it is made of. */
export interface BenchmarkScore {
  /** Mean over the tasks; absent where something is missing: there is no average of a part. */
  readonly score?: number;
  /** Score of each task that has all its figures: their mean. */
  readonly tasks: Readonly<Record<string, number>>;
  /** What is missing: `rte`, or `mrpc: f1` where it has other figures. */
  readonly missing: readonly string[];
}

/**
 * GLUE's average over nine tasks, MNLI's score being the mean of its matched (`mnli`) and mismatched data (`mnli_mismatched`), or
 * SuperGLUE's over eight. The diagnostic sets count in neither.
 * @param scores figures by task: `glue/sst2`, `sst2`, `SST-2`; others are ignored
 * @param without tasks that do not count, e.g. `wnli`, which many papers leave out
 */
export function benchmarkScore(
  benchmark: BenchmarkName,
  scores: Readonly<Record<string, TaskScores>>,
  without: readonly string[] = [],
): BenchmarkScore {
  const known = new Map(Object.entries(scores).map(([name, figures]) => [plain(name), figures]));
  const tasks: Record<string, number> = {};
  const missing: string[] = [];
  for (const [task, sets] of Object.entries<Sets[string]>(BENCHMARKS[benchmark])) {
    if (without.map(plain).includes(task)) continue;
    const lacking = Object.entries(sets).flatMap(([set, metrics]) => lackOf(set, metrics, known.get(plain(set))));
    missing.push(...lacking);
    if (lacking.length > 0) continue;
    tasks[task] = meanOf(
      Object.entries(sets).map(([set, metrics]) => meanOf(metrics.map((metric) => known.get(plain(set))![metric]!))),
    );
  }
  return { ...(missing.length === 0 && { score: meanOf(Object.values(tasks)) }), tasks, missing };
}

function lackOf(set: string, metrics: readonly MetricName[], figures: TaskScores | undefined): string[] {
  if (!figures) return [set];
  return metrics.filter((metric) => figures[metric] === undefined).map((metric) => `${set}: ${metric}`);
}

/** `glue/SST-2` → `sst2`; MNLI's two sets have several names. */
function plain(name: string): string {
  const bare = name.toLowerCase().split('/').at(-1)!.replace(/[-_]/g, '');
  return bare.replace(/^mnli(?:m|matched)$/, 'mnli').replace(/^mnli(?:mm|mismatch)$/, 'mnlimismatched');
}
