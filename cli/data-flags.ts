/** Room: cli. The flags that name a model and data, as most commands have them. */
import type { Command } from 'commander';
import type { DataSet } from '../data/load/data-set.ts';
import type { Rows } from '../data/load/rows.ts';
import type { Share } from '../data/record-source.ts';
import { say } from './context.ts';
import type { DataOptions } from '../data/options.ts';
import type { TaskRequests } from '../experiments/task-data.ts';
import { collect } from './config-file.ts';
import { addFormatFlag } from './data-files.ts';
import { addHubDataFlags, addModelFlag } from './hub.ts';
import { withTasks, type TaskFlags } from './task-flags.ts';

export interface DataFlags extends Record<string, unknown>, TaskFlags {
  readonly model: string;
  readonly train?: readonly string[];
  readonly eval?: readonly string[];
  readonly json?: boolean;
}

export const TASK_FLAG = 'sentiment, spam, or one as glue/sst2; repeatable';
export const DATA_DIR_FLAG = 'folder with its files (default: from the hub)';

export function addDataFlags(command: Command): Command {
  return addHubDataFlags(addModelFlag(addFormatFlag(command)))
    .option('--task <name>', TASK_FLAG, collect)
    .option('--data-dir <dir>', DATA_DIR_FLAG, collect)
    .option(
      '--train <file>',
      'training data: JSONL, JSON, CSV, TSV, Parquet or .txt, - for standard input; NAME=FILE for several tasks',
      collect,
    )
    .option('--eval <file>', 'evaluation data', collect)
    .option('--json', 'print the result as JSON');
}

/** Runs `work` on the data that the flags name, as regular files. */
export function withData<T>(
  flags: DataFlags,
  options: DataOptions,
  work: (requests: TaskRequests) => Promise<T>,
): Promise<T> {
  return withTasks(flags, { train: flags.train, eval: flags.eval }, options, work);
}

/** How many examples there are, on standard error. */
export function sayCounts({ name, rows, drawn = {} }: Pick<DataSet, 'name' | 'rows' | 'drawn'>): void {
  const parts = [
    ...(rows.train > 0 ? [ofAll(rows.train, 'training', drawn.train)] : []),
    ...(rows.eval > 0 ? [ofAll(rows.eval, 'evaluation', drawn.eval)] : []),
  ];
  const isOne = rows.train + rows.eval === 1 && !drawn.train && !drawn.eval;
  say(`${name}: ${parts.join(' + ')} ${isOne ? 'example' : 'examples'}`);
}

/** How many rows are predicted, on standard error. */
export function sayCount({ name, firsts: { length }, drawn }: Pick<Rows, 'name' | 'firsts' | 'drawn'>): void {
  const kind = length === 1 && !drawn ? 'example' : 'examples';
  say(`${name}: ${ofAll(length, kind, drawn)}`);
}

/** `8 of 872 training`; where examples are not rows, as of documents, both are said. */
function ofAll(count: number, kind: string, drawn: Share | undefined): string {
  if (!drawn) return `${grouped(count)} ${kind}`;
  const share = `${grouped(drawn.count)} of ${grouped(drawn.total)}`;
  return drawn.count === count ? `${share} ${kind}` : `${grouped(count)} ${kind} (from ${share} rows)`;
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
