/** Room: report/compare. Rows from comparisons, from trials of sweeps, and from parts of the paper's table. Pure. */
import { mean, sum } from 'simple-statistics';
import type { PaperPart } from '../paper/schema.ts';
import { METRICS, type Comparison, type Run } from '../schema.ts';
import type { TrialRecord } from '../sweep/schema.ts';
import { rowOf, type RunRow } from './columns.ts';
import { methodLabel, methodName, prunedRatios, type Ratios } from './methods.ts';

/** Options of a run, by their flags or by the keys that `identity.json` has. */
export type RunOptions = Readonly<Record<string, unknown>>;

/** What rows need that no run tells. */
export interface RowFacts {
  /** The official score of a task; undefined for one that is not known. */
  readonly official: (task: string) => string | undefined;
  /** Options of a preset by their flags; none for a name that is not known. */
  readonly preset: (name: string) => RunOptions;
}

/** Options that have a column, or are not of the run itself. */
const NOT_COMPARED = new Set([
  ...['seed', 'lr', 'steps', 'task', 'model', 'peft', 'method', 'methods', 'base', 'data-dir', 'out'],
  ...['heads-ratio', 'ffn-ratio', 'module-ratio', 'rank-ratio', 'heads', 'neurons', 'modules', 'ranks'],
]);

/** @param optionsOf of a run, where they are known */
export function rowsOfComparison(
  { meta, runs }: Comparison,
  source: string,
  optionsOf: (run: Run) => RunOptions,
  facts: RowFacts,
): RunRow[] {
  return runs.map((run) => {
    const { task, seed, memory, foundation, trainable, timeline } = run;
    const { reference: peft, fingerprint: base, model, adapter, software, date } = meta;
    const method = methodName(run.method, peft);
    const options = optionsOf(run);
    return rowOf({
      ...described(method, peft, options, facts),
      ...{ source, task, base, model, seed, adapter, software, date },
      ...(knownRatios(options, facts) ? {} : prunedRatios(method, ratiosOfPlan(run))),
      ...scored(task, numbersOf(run.metrics), facts),
      ...timed(run.speed),
      blocksLeft: foundation.blockLeft,
      blocksShare: foundation.blockLeft / foundation.blockTotal,
      trainablesLeft: trainable.left,
      trainablesShare: trainable.left / trainable.total,
      trainPeakBytes: memory.trainPeakBytes,
      trainMeanBytes: timeline ? meanBytes(timeline.points) : null,
      inferPeakBytes: memory.inferPeakBytes,
      artefactBytes: run.artefactBytes,
    });
  });
}

/** @param part with a run of its own, none that a learning rate was chosen by */
export function rowOfPart(part: PaperPart, facts: RowFacts): RunRow {
  const { name: source, peft, method, ratio, seed, lr, config, fingerprint: base, date, commit } = part;
  const task = textOf(config.task) ?? part.task;
  const given = { 'heads-ratio': ratio, 'ffn-ratio': ratio, ...config };
  return rowOf({
    ...described(method, peft, given, facts),
    ...{ source, task, base, seed, lr, date, commit },
    ...{ adapter: part.device.adapter, software: part.device.software },
    ...figures(part.metrics),
    ...scored(task, part.metrics, facts),
  });
}

/** A trial of `run` that is done, where its own comparison is no longer there. */
export function rowOfTrial(
  { config, metrics, device }: TrialRecord,
  origin: Pick<RunRow, 'source' | 'base' | 'model' | 'date'>,
  facts: RowFacts,
): RunRow {
  const peft = textOf(config.peft) ?? 'not known';
  const task = textOf(config.task) ?? 'not known';
  return rowOf({
    ...described(methodName(textOf(config.methods) ?? 'not known', peft), peft, config, facts),
    ...{ ...origin, task, seed: numberOf(config.seed) },
    ...{ adapter: device?.adapter ?? null, software: device?.software ?? null },
    ...figures(metrics),
    ...scored(task, metrics, facts),
  });
}

/** What options say of a method. */
function described(method: string, peft: string, options: RunOptions, facts: RowFacts) {
  const others = Object.entries(options).filter(([name]) => !NOT_COMPARED.has(name));
  const isSelection = ['selection-split', 'selectionSplit'].some((name) => numberOf(options[name]) !== null);
  return {
    ...{ peft, method, label: methodLabel(peft, method) },
    ...{ lr: numberOf(options.lr), steps: numberOf(options.steps) },
    ...prunedRatios(method, ratiosOf(options, facts)),
    split: isSelection ? 'selection' : (textOf(options['eval-split']) ?? 'evaluation'),
    options: JSON.stringify(Object.fromEntries(others.sort(([a], [b]) => (a < b ? -1 : 1)))),
  };
}

/** Those of a preset where none are given. */
function ratiosOf(options: RunOptions, { preset }: RowFacts): Ratios {
  const all = { ...preset(textOf(options.preset) ?? ''), ...options };
  const of = (...names: string[]): number | null =>
    names.map((name) => numberOf(all[name])).find((value) => value !== null) ?? null;
  return {
    headsRatio: of('heads-ratio', 'heads'),
    neuronsRatio: of('ffn-ratio', 'neurons'),
    moduleRatio: of('module-ratio', 'modules'),
    rankRatio: of('rank-ratio', 'ranks'),
  };
}

function knownRatios(options: RunOptions, facts: RowFacts): boolean {
  return Object.values(ratiosOf(options, facts)).some((value) => value !== null);
}

/** What was pruned, where options don't say what was asked for. */
function ratiosOfPlan({ plan }: Run): Ratios {
  const none = { headsRatio: 0, neuronsRatio: 0, moduleRatio: 0, rankRatio: 0 };
  if (!plan) return none;
  const gone = (kept: readonly number[], total: readonly number[]): number => 1 - sum([...kept]) / sum([...total]);
  const { layers, modules } = plan;
  return {
    headsRatio: gone(layers.map(({ keptHeads }) => keptHeads.length), layers.map(({ heads }) => heads)), // prettier-ignore
    neuronsRatio: gone(layers.map(({ keptNeurons }) => keptNeurons.length), layers.map(({ neurons }) => neurons)), // prettier-ignore
    moduleRatio: modules.length === 0 ? null : 1 - modules.filter(({ kept }) => kept).length / modules.length,
    rankRatio: null,
  };
}

function scored(task: string, metrics: Readonly<Record<string, number>>, { official }: RowFacts) {
  const scores = Object.fromEntries(
    [...METRICS, 'loss'].flatMap((name) => (metrics[name] === undefined ? [] : [[name, metrics[name]]])),
  );
  const named = official(task);
  const isThere = named !== undefined && scores[named] !== undefined;
  const metric = isThere ? named : (['accuracy', ...METRICS].find((name) => scores[name] !== undefined) ?? 'loss');
  return { ...scores, metric, value: scores[metric] ?? null };
}

function timed(speed: Partial<Run['speed']>) {
  const { estimateSeconds = null, pruneSeconds = null, trainSeconds = null } = speed;
  const isKnown = estimateSeconds !== null && pruneSeconds !== null && trainSeconds !== null;
  return {
    trainTokensPerSecond: speed.trainTokensPerSecond ?? null,
    inferExamplesPerSecond: speed.inferExamplesPerSecond ?? null,
    ...{ estimateSeconds, pruneSeconds, trainSeconds },
    totalSeconds: isKnown ? estimateSeconds + pruneSeconds + trainSeconds : null,
  };
}

/** What parts and trials keep beside their scores. */
function figures(metrics: Readonly<Partial<Record<string, number>>>) {
  return {
    ...timed(metrics),
    blocksShare: metrics.blockShare ?? null,
    trainablesShare: metrics.trainableShare ?? null,
    trainPeakBytes: metrics.trainPeakBytes ?? null,
    trainMeanBytes: metrics.trainMeanBytes ?? null,
    inferPeakBytes: metrics.inferPeakBytes ?? null,
    artefactBytes: metrics.artefactBytes ?? null,
  };
}

/** Over the points of a timeline. */
export function meanBytes(points: readonly (readonly number[])[]): number {
  return mean(points.map((kinds) => sum([...kinds])));
}

function numbersOf(metrics: Run['metrics']): Record<string, number> {
  return Object.fromEntries(Object.entries(metrics).filter((entry): entry is [string, number] => typeof entry[1] === 'number')); // prettier-ignore
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

/** Several tasks at once are joined as `run` names them. */
function textOf(value: unknown): string | undefined {
  if (Array.isArray(value)) return value.map(String).join(' + ');
  return typeof value === 'string' ? value : undefined;
}
