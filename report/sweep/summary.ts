/** Room: report/sweep. From trials to configurations: means over seeds, on one adapter each, best first. Pure. */
import { spreadOf } from '../audit/summary.ts';
import type { Spread } from '../aggregate.ts';
import { METRICS } from '../schema.ts';
import { axesOf, SEED, type Axis } from './options.ts';
import type { Device, Direction, SweepData, TrialConfig, TrialRecord } from './schema.ts';
import { styleOf, type FigureStyle } from './styles.ts';

/** The figure that the report is about. */
export interface MetricChoice {
  readonly key: string;
  readonly style: FigureStyle;
  readonly direction: Direction;
  /** Whether the sweep chooses by it; else it is only shown. */
  readonly isChosen: boolean;
}

/** All trials that are equal but for the seed, on one adapter. */
export interface Configuration {
  /** In its adapter's table, from 1. */
  readonly place: number;
  readonly config: TrialConfig;
  /** Those that are done. */
  readonly trials: readonly TrialRecord[];
  readonly failed: number;
  readonly stopped: number;
  readonly metric: Spread | undefined;
}

export interface AdapterGroup {
  readonly adapter: string;
  readonly configurations: readonly Configuration[];
}

export interface SweepSummary {
  readonly data: SweepData;
  /** Undefined where no trial has a figure. */
  readonly metric: MetricChoice | undefined;
  /** Options that may differ, without the seed. */
  readonly axes: readonly Axis[];
  /** In order of first appearance; only those with a trial that is done. */
  readonly adapters: readonly AdapterGroup[];
  readonly counts: Readonly<Record<TrialRecord['state'] | 'unfinished', number>>;
}

export function summariseSweep(data: SweepData): SweepSummary {
  const { sweep, trials } = data;
  const metric = metricOf(data);
  const done = trials.filter(({ state }) => state === 'done');
  const byAdapter = grouped(done, ({ device }) => adapterText(device));
  return {
    data,
    metric,
    axes: axesOf(sweep.axes, trials),
    adapters: [...byAdapter].map(([adapter, own]) => ({
      adapter,
      configurations: configurationsOf(own, lostOn(trials, adapter), metric),
    })),
    counts: {
      done: done.length,
      failed: trials.filter(({ state }) => state === 'failed').length,
      stopped: trials.filter(({ state }) => state === 'stopped').length,
      unfinished: Math.max(0, sweep.trials - trials.length),
    },
  };
}

/** An adapter for people. */
export function adapterText(device: Device | null): string {
  if (!device) return 'adapter not known';
  return device.software ? `${device.adapter} (software)` : device.adapter;
}

/** Items by a key, both in order of first appearance. */
export function grouped<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

function metricOf({ sweep, trials }: SweepData): MetricChoice | undefined {
  if (sweep.metric !== undefined)
    return { key: sweep.metric, style: styleOf(sweep.metric), direction: sweep.direction, isChosen: true };
  const found = new Set(trials.flatMap(({ state, metrics }) => (state === 'done' ? Object.keys(metrics) : [])));
  const key = ['accuracy', ...METRICS, 'loss', ...found].find((name) => found.has(name));
  if (key === undefined) return undefined;
  const style = styleOf(key);
  return { key, style, direction: style.direction, isChosen: false };
}

/** Trials that are not done, where they ran there or nowhere. */
function lostOn(trials: readonly TrialRecord[], adapter: string): TrialRecord[] {
  return trials.filter(({ state, device }) => state !== 'done' && (device === null || adapterText(device) === adapter));
}

/** The same for trials that differ in their seed alone. */
export function configurationKey(config: TrialConfig): string {
  const entries = Object.entries(config).filter(([name]) => name !== SEED);
  return JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function configurationsOf(
  trials: readonly TrialRecord[],
  lost: readonly TrialRecord[],
  metric: MetricChoice | undefined,
): Configuration[] {
  const byLost = grouped(lost, ({ config }) => configurationKey(config));
  const found = [...grouped(trials, ({ config }) => configurationKey(config))].map(([key, own]) => ({
    config: own[0]!.config,
    trials: own,
    failed: byLost.get(key)?.filter(({ state }) => state === 'failed').length ?? 0,
    stopped: byLost.get(key)?.filter(({ state }) => state === 'stopped').length ?? 0,
    metric: metric && spreadOfFigure(own, metric.key),
  }));
  const ranked = metric?.isChosen ? sortedBy(found, (one) => one.metric?.mean, metric.direction) : found;
  return ranked.map((one, i) => ({ place: i + 1, ...one }));
}

/** Of those that have the figure; undefined where none has. */
export function spreadOfFigure(trials: readonly Pick<TrialRecord, 'metrics'>[], key: string): Spread | undefined {
  const values = trials.flatMap((trial) => figureOf(trial, key) ?? []);
  return values.length === 0 ? undefined : spreadOf(values);
}

export function figureOf({ metrics }: Pick<TrialRecord, 'metrics'>, key: string): number | undefined {
  return Object.hasOwn(metrics, key) ? metrics[key] : undefined;
}

/** Best first, those without a value last; equal ones keep their order. */
export function sortedBy<T>(
  items: readonly T[],
  of: (item: T) => number | undefined,
  direction: Direction,
): readonly T[] {
  const sign = direction === 'maximize' ? -1 : 1;
  return items
    .map((item) => ({ item, key: sign * (of(item) ?? Infinity * sign) }))
    .sort((a, b) => (a.key === b.key ? 0 : a.key - b.key))
    .map(({ item }) => item);
}

const STATE_ORDER = { done: 0, stopped: 1, failed: 2 } as const;

/** Where there is a metric to choose by: those that are done, best first, then the stopped, then the failed. */
export function rankedTrials({ data: { trials }, metric }: SweepSummary): readonly TrialRecord[] {
  if (!metric?.isChosen) return trials;
  const ranked = sortedBy(trials, (trial) => figureOf(trial, metric.key), metric.direction);
  return [...ranked].sort((a, b) => STATE_ORDER[a.state] - STATE_ORDER[b.state]);
}

/** The configuration with the best mean; none where nothing is chosen, or where figures of several adapters don't compare. */
export function bestConfiguration({ metric, adapters }: SweepSummary): (Configuration & AdapterGroup) | undefined {
  if (!metric?.isChosen || (metric.style.isOfMachine && adapters.length > 1)) return undefined;
  const firsts = adapters.flatMap((group) => ({ ...group, ...group.configurations[0]! }));
  return sortedBy(firsts, (one) => one.metric?.mean, metric.direction).find((one) => one.metric);
}

/** `84.3 ± 0.4`, or the mean alone where there was one seed. */
export function spreadText(spread: Spread | undefined, { text }: FigureStyle): string {
  if (!spread) return '–';
  return spread.deviation === undefined ? text(spread.mean) : `${text(spread.mean)} ± ${text(spread.deviation)}`;
}

/** At most so many of the items, evenly spaced. */
export function stride<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items];
  return Array.from({ length: most }, (_, i) => items[Math.floor((i * items.length) / most)]!);
}
