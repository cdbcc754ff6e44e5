/** Room: cli. The flags that name a model and data, as most commands have them. */
import type { Command } from 'commander';
import type { DataSet } from '../data/load/data-set.ts';
import type { Rows } from '../data/load/rows.ts';
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

export const TASK_FLAG = 'sentiment, spam, or one as glue/sst2; given again, several';
export const DATA_DIR_FLAG = 'folder with its files (default: from the hub); of one of several tasks TASK=DIR';

export function addDataFlags(command: Command): Command {
  return addHubDataFlags(addModelFlag(addFormatFlag(command)))
    .option('--task <name>', TASK_FLAG, collect)
    .option('--data-dir <dir>', DATA_DIR_FLAG, collect)
    .option(
      '--train <file>',
      'training data: JSONL, JSON, CSV, TSV or Parquet; for language models also .txt; - for standard input; given again as NAME=FILE, several tasks',
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
export function sayCounts({ name, rows }: Pick<DataSet, 'name' | 'rows'>): void {
  const parts = [
    ...(rows.train > 0 ? [`${grouped(rows.train)} training`] : []),
    ...(rows.eval > 0 ? [`${grouped(rows.eval)} evaluation`] : []),
  ];
  say(`${name}: ${parts.join(' + ')} ${rows.train + rows.eval === 1 ? 'example' : 'examples'}`);
}

/** How many rows are predicted, on standard error. */
export function sayCount({ name, firsts: { length } }: Pick<Rows, 'name' | 'firsts'>): void {
  say(`${name}: ${grouped(length)} ${length === 1 ? 'example' : 'examples'}`);
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
