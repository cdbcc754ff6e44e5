/** Room: report/compare. Rows by what may be compared: a section a task, base, split and score; means over seeds; fronts. Pure. */
import type { Spread } from '../aggregate.ts';
import { spreadOf } from '../audit/summary.ts';
import { paretoFront } from '../sweep/pareto.ts';
import { styleOf, type FigureStyle } from '../sweep/styles.ts';
import { grouped } from '../sweep/summary.ts';
import { AXES, type Axis } from './axes.ts';
import type { RunRow } from './columns.ts';

/** Runs that are equal but for the seed, on one adapter. */
export interface Configuration {
  readonly first: RunRow;
  readonly rows: readonly RunRow[];
  readonly score: Spread;
}

export interface MeanPoint {
  readonly configuration: Configuration;
  readonly x: number;
  readonly y: number;
  readonly deviations: { readonly x: number | undefined; readonly y: number | undefined };
}

/** A score against one axis: of times a panel for each adapter. */
export interface Panel {
  readonly axis: Axis;
  /** Where it is of one alone. */
  readonly adapter: string | undefined;
  readonly runs: readonly (RunRow & { readonly x: number; readonly y: number })[];
  readonly means: readonly MeanPoint[];
  readonly front: readonly MeanPoint[];
}

export interface Section {
  readonly title: string;
  readonly task: string;
  readonly style: FigureStyle;
  readonly configurations: readonly Configuration[];
  readonly panels: readonly Panel[];
}

export function sectionsOf(rows: readonly RunRow[]): Section[] {
  const groups = [...grouped(rows, ({ task, base, split, metric }) => JSON.stringify([task, base, split, metric]))];
  return groups.map(([, own]) => {
    const [first] = own as [RunRow];
    const style = styleOf(first.metric);
    const configurations = configurationsOf(own);
    const panels = AXES.flatMap((axis) => panelsOf(axis, own, configurations, style));
    return { title: titleOf(first, groups.map(([, [other]]) => other!)), task: first.task, style, configurations, panels }; // prettier-ignore
  });
}

/** The task, and what tells it from other sections of the same task. */
function titleOf(row: RunRow, others: readonly RunRow[]): string {
  const same = others.filter(({ task }) => task === row.task);
  const differs = (key: 'base' | 'split' | 'metric'): boolean => same.some((other) => other[key] !== row[key]);
  const parts = [
    differs('base') ? `base ${shortBase(row.base)}` : '',
    differs('split') ? `on the ${row.split} split` : '',
    differs('metric') ? styleOf(row.metric).name : '',
  ];
  return [row.task, ...parts.filter((part) => part !== '')].join(', ');
}

/** The first digits of a fingerprint. */
export function shortBase(base: string): string {
  return base.replace(/^sha256:/, '').slice(0, 8);
}

/** An adapter for people. */
export function adapterName({ adapter, software }: RunRow): string {
  if (adapter === null) return 'adapter not known';
  return software ? `${adapter} (software)` : adapter;
}

/** The method of a run, in marks and filters. */
export const methodKey = ({ peft, method }: RunRow): string => `${peft}/${method}`;

function configurationsOf(rows: readonly RunRow[]): Configuration[] {
  const keyOf = (row: RunRow): string => {
    const { peft, method, headsRatio, neuronsRatio, moduleRatio, rankRatio, lr, steps, options } = row;
    return JSON.stringify([peft, method, headsRatio, neuronsRatio, moduleRatio, rankRatio, lr, steps, options, adapterName(row)]); // prettier-ignore
  };
  return [...grouped(rows, keyOf)].flatMap(([, own]) => {
    const values = valuesOf(own, 'value');
    return values.length === 0 ? [] : [{ first: own[0]!, rows: own, score: spreadOf(values) }];
  });
}

/** Of the runs that have it. */
export function valuesOf(rows: readonly RunRow[], key: Axis['key'] | 'value'): number[] {
  return rows.flatMap((row) => row[key] ?? []);
}

/** Panels with points; of times one for each adapter. */
function panelsOf(
  axis: Axis,
  rows: readonly RunRow[],
  configurations: readonly Configuration[],
  style: FigureStyle,
): Panel[] {
  const adapters = axis.isTime ? [...new Set(rows.map(adapterName))] : [undefined];
  return adapters.flatMap((adapter) => {
    const isOwn = (row: RunRow): boolean => adapter === undefined || adapterName(row) === adapter;
    const runs = rows.filter(isOwn).flatMap((row) => {
      const { [axis.key]: x, value: y } = row;
      return x === null || y === null ? [] : [{ ...row, x, y }];
    });
    if (runs.length === 0) return [];
    const means = configurations.filter(({ first }) => isOwn(first)).flatMap((one) => meanPoint(one, axis));
    const front = paretoFront(means, 'minimize', style.direction);
    return [{ axis, adapter: adapters.length > 1 ? adapter : undefined, runs, means, front }];
  });
}

/** Of the runs that have both figures. */
function meanPoint(configuration: Configuration, { key }: Axis): MeanPoint[] {
  const rows = configuration.rows.filter((row) => row[key] !== null && row.value !== null);
  if (rows.length === 0) return [];
  const [x, y] = [spreadOf(valuesOf(rows, key)), spreadOf(valuesOf(rows, 'value'))];
  return [{ configuration, x: x.mean, y: y.mean, deviations: { x: x.deviation, y: y.deviation } }];
}
