/**
 * Room: report/compare. Runs of any origin as rows of one table, and the page that compares them. This file is the table: a row a run, always
 * the same columns, null for what is not known.
 */
import { METRICS, type Metric } from '../schema.ts';

/** Parquet's types. Counts and bytes are DOUBLE, which holds whole numbers to 2⁵³. */
export type ColumnType = 'STRING' | 'INT32' | 'DOUBLE' | 'BOOLEAN';

const scores = Object.fromEntries(METRICS.map((name) => [name, 'DOUBLE'])) as Record<Metric, 'DOUBLE'>;

export const COLUMNS = {
  /** Folder of the run, or name of the part. */
  source: 'STRING',
  task: 'STRING',
  /** `evaluation`, or `selection`: data that something was chosen by. */
  split: 'STRING',
  model: 'STRING',
  /** Fingerprint of the base. */
  base: 'STRING',
  peft: 'STRING',
  method: 'STRING',
  label: 'STRING',
  /** Parts pruned; 0 where a method does not prune them. */
  headsRatio: 'DOUBLE',
  neuronsRatio: 'DOUBLE',
  moduleRatio: 'DOUBLE',
  rankRatio: 'DOUBLE',
  seed: 'INT32',
  lr: 'DOUBLE',
  /** Of fine-tuning. */
  steps: 'INT32',
  /** The task's official score. */
  metric: 'STRING',
  value: 'DOUBLE',
  ...scores,
  loss: 'DOUBLE',
  blocksLeft: 'DOUBLE',
  blocksShare: 'DOUBLE',
  trainablesLeft: 'DOUBLE',
  trainablesShare: 'DOUBLE',
  trainPeakBytes: 'DOUBLE',
  /** Over the dispatches of a training step. */
  trainMeanBytes: 'DOUBLE',
  inferPeakBytes: 'DOUBLE',
  trainTokensPerSecond: 'DOUBLE',
  inferExamplesPerSecond: 'DOUBLE',
  estimateSeconds: 'DOUBLE',
  pruneSeconds: 'DOUBLE',
  trainSeconds: 'DOUBLE',
  totalSeconds: 'DOUBLE',
  artefactBytes: 'DOUBLE',
  adapter: 'STRING',
  software: 'BOOLEAN',
  date: 'STRING',
  commit: 'STRING',
  /** The other options as JSON: runs that are equal in all of them but the seed are averaged. */
  options: 'STRING',
} as const satisfies Readonly<Record<string, ColumnType>>;

export type ColumnName = keyof typeof COLUMNS;

export const COLUMN_NAMES = Object.keys(COLUMNS) as readonly ColumnName[];

interface Values {
  readonly STRING: string;
  readonly INT32: number;
  readonly DOUBLE: number;
  readonly BOOLEAN: boolean;
}

/** What every run has. */
type Known = 'source' | 'task' | 'split' | 'base' | 'peft' | 'method' | 'label' | 'metric' | 'options';

export type RunRow = { readonly [K in Known]: string } & {
  readonly [K in Exclude<ColumnName, Known>]: Values[(typeof COLUMNS)[K]] | null;
};

/** A row with null for what is not given. */
export function rowOf(known: Pick<RunRow, Known> & Partial<RunRow>): RunRow {
  const empty = Object.fromEntries(COLUMN_NAMES.map((name) => [name, null]));
  return { ...empty, ...known } as RunRow;
}
