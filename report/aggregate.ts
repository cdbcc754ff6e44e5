/** Room: report. From runs to one summary per task and method: means over seeds, and ratios to the reference method. */
import { mean, sampleStandardDeviation } from 'simple-statistics';
import { breakEven, type Timed } from './break-even.ts';
import { METRICS, type Comparison, type Metric, type Run, type Task } from './schema.ts';

/** The method the page is about. */
const SUBJECT = 'light-peft';

/** Below these numbers of timed steps and of examples a ratio says little. */
export const FEW = { steps: 64, examples: 256 } as const;

/** Mean over seeds and sample standard deviation (n − 1); one seed has no deviation. */
export interface Spread {
  readonly mean: number;
  readonly deviation: number | undefined;
}

/** Ratios of means to the reference method's, except `accuracy`, `exactMatch` and `matthews`: differences. */
export interface Relative {
  readonly accuracy?: number;
  readonly exactMatch?: number;
  readonly matthews?: number;
  readonly perplexity?: number;
  /** Absent where the reference makes no error at all. */
  readonly mse?: number;
  readonly trainSpeed: number;
  readonly inferSpeed: number;
  readonly trainPeak: number;
  readonly inferPeak: number;
  readonly artefact: number;
  /** Of the wall time of all stages. */
  readonly seconds: number;
  /** As `breakEven`; absent where the method has nothing to make up for, or its steps were not kept. */
  readonly breakEven?: number | undefined;
  /** Which of the figures stand on fewer than `FEW`. */
  readonly few: { readonly steps: boolean; readonly examples: boolean };
}

/** One method on one task, over its seeds. */
export interface MethodSummary extends Timed, Readonly<Partial<Record<Metric, Spread>>> {
  readonly method: string;
  readonly label: string;
  readonly runs: readonly Run[];
  /** Mean evaluation loss. */
  readonly loss: number;
  /** Parameters left of the frozen base, of its blocks alone, and of the PEFT modules, each with the fraction that they are. */
  readonly foundationLeft: number;
  readonly foundationShare: number;
  readonly blockLeft: number;
  readonly blockShare: number;
  readonly trainableLeft: number;
  readonly trainableShare: number;
  readonly trainSpeed: Spread;
  readonly inferSpeed: Spread;
  readonly trainPeak: number;
  /** The training peak by kind of buffer, bytes. */
  readonly byKind: ReadonlyMap<string, number>;
  readonly inferPeak: number;
  readonly artefact: number;
  /** Absent for the reference itself, and where the task has no reference run. */
  readonly relative: Relative | undefined;
}

/** One task: its methods in order of first appearance. */
export interface TaskSummary {
  readonly task: Task;
  readonly methods: readonly MethodSummary[];
  readonly reference: MethodSummary | undefined;
  readonly subject: MethodSummary | undefined;
  /** The most seeds any method has. */
  readonly seeds: number;
}

/** Summaries in the order of `comparison.tasks`; a task without runs is left out. */
export function summarise(comparison: Comparison): TaskSummary[] {
  return comparison.tasks.flatMap((task) => {
    const groups = groupByMethod(comparison.runs.filter((run) => run.task === task.name));
    if (groups.length === 0) return [];
    const own = groups.map(summariseMethod);
    const base = own.find((m) => m.method === comparison.meta.reference);
    const methods = own.map((m) => ({ ...m, relative: base && m !== base ? relate(m, base, task) : undefined }));
    return {
      task,
      methods,
      reference: methods.find((m) => m.method === comparison.meta.reference),
      subject: methods.find((m) => m.method === SUBJECT),
      seeds: Math.max(...methods.map((m) => m.runs.length)),
    };
  });
}

function groupByMethod(runs: readonly Run[]): Run[][] {
  const groups = new Map<string, Run[]>();
  for (const run of runs) groups.set(run.method, [...(groups.get(run.method) ?? []), run]);
  return [...groups.values()].map((group) => group.sort((a, b) => a.seed - b.seed));
}

type Own = Omit<MethodSummary, 'relative'>;

function summariseMethod(runs: readonly Run[]): Own {
  const kinds = [...new Set(runs.flatMap((run) => Object.keys(run.memory.byKind)))];
  const metrics = METRICS.filter((metric) => runs.every((run) => run.metrics[metric] !== undefined));
  const over = (pick: (run: Run) => number): number => mean(runs.map(pick));
  const spread = (pick: (run: Run) => number): Spread => ({
    mean: over(pick),
    deviation: runs.length > 1 ? sampleStandardDeviation(runs.map(pick)) : undefined,
  });
  return {
    method: runs[0]!.method,
    label: runs[0]!.label,
    runs,
    ...Object.fromEntries(metrics.map((metric) => [metric, spread((r) => r.metrics[metric]!)])),
    loss: over((r) => r.metrics.loss),
    foundationLeft: over((r) => r.foundation.left),
    foundationShare: over((r) => r.foundation.left / r.foundation.total),
    blockLeft: over((r) => r.foundation.blockLeft),
    blockShare: over((r) => r.foundation.blockLeft / r.foundation.blockTotal),
    trainableLeft: over((r) => r.trainable.left),
    trainableShare: over((r) => r.trainable.left / r.trainable.total),
    trainSpeed: spread((r) => r.speed.trainTokensPerSecond),
    inferSpeed: spread((r) => r.speed.inferExamplesPerSecond),
    trainPeak: over((r) => r.memory.trainPeakBytes),
    byKind: new Map(kinds.map((kind) => [kind, over((r) => r.memory.byKind[kind] ?? 0)])),
    inferPeak: over((r) => r.memory.inferPeakBytes),
    artefact: over((r) => r.artefactBytes),
    ...times(runs, over),
  };
}

function times(runs: readonly Run[], over: (pick: (run: Run) => number) => number): Timed {
  const estimate = over((r) => r.speed.estimateSeconds);
  const prune = over((r) => r.speed.pruneSeconds);
  const train = over((r) => r.speed.trainSeconds);
  const distill = over((r) => r.speed.distillSeconds ?? 0);
  const teacher = over((r) => r.speed.teacherSeconds ?? 0);
  const steps = Math.min(...runs.map((run) => phaseSteps(run, 'train')));
  const perStep = runs.every((run) => run.speed.secondsPerStep !== undefined)
    ? over((r) => r.speed.secondsPerStep!)
    : over((r) => r.speed.trainSeconds / phaseSteps(r, 'train'));
  return {
    seconds: { estimate, prune, train, distill, teacher, total: estimate + prune + train + distill + teacher },
    steps: { estimate: Math.min(...runs.map((run) => phaseSteps(run, 'estimate'))), train: steps || undefined },
    secondsPerStep: steps > 0 ? perStep : undefined,
  };
}

/** Optimizer steps of a run's stage, by its curve. */
export function phaseSteps(run: Run, phase: Run['curves'][number]['phase']): number {
  return Math.max(0, ...run.curves.filter((c) => c.phase === phase).map((c) => (c.step.at(-1) ?? -1) + 1));
}

function relate(own: Own, reference: Own, { evalExamples }: Task): Relative {
  const fewSteps = [own, reference].some(({ steps: { train } }) => train !== undefined && train < FEW.steps);
  return {
    ...compared('accuracy', own, reference, (a, b) => a - b),
    ...compared('exactMatch', own, reference, (a, b) => a - b),
    ...compared('matthews', own, reference, (a, b) => a - b),
    ...compared('perplexity', own, reference, (a, b) => a / b),
    ...(reference.mse?.mean !== 0 && compared('mse', own, reference, (a, b) => a / b)),
    trainSpeed: own.trainSpeed.mean / reference.trainSpeed.mean,
    inferSpeed: own.inferSpeed.mean / reference.inferSpeed.mean,
    trainPeak: own.trainPeak / reference.trainPeak,
    inferPeak: own.inferPeak / reference.inferPeak,
    artefact: own.artefact / reference.artefact,
    seconds: own.seconds.total / reference.seconds.total,
    breakEven: breakEven(own, reference, own.trainSpeed.mean / reference.trainSpeed.mean),
    few: { steps: fewSteps, examples: evalExamples < FEW.examples },
  };
}

/** A score of both, if both have it. */
function compared<K extends 'accuracy' | 'exactMatch' | 'matthews' | 'perplexity' | 'mse'>(
  key: K,
  own: Own,
  reference: Own,
  by: (a: number, b: number) => number,
): Partial<Record<K, number>> {
  const [a, b] = [own[key], reference[key]];
  return a && b ? ({ [key]: by(a.mean, b.mean) } as Record<K, number>) : {};
}
