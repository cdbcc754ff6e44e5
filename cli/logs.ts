/** Room: cli. `--log-jsonl`, `--log-csv`, `--log-tensorboard`: logs of the commands that train, tried before any work. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../engine/errors.ts';
import { CsvLog } from '../train/logs/csv.ts';
import { JsonlLog } from '../train/logs/jsonl.ts';
import type { LogOptions, RunLabel, TrainingLog } from '../train/logs/log.ts';
import { TensorBoardLog } from '../train/logs/tensorboard.ts';

export interface LogFlags {
  readonly logJsonl?: string;
  readonly logCsv?: string;
  readonly logTensorboard?: string;
  readonly overwrite?: boolean;
}

export function addLogFlags(command: Command): Command {
  return command
    .option('--log-jsonl <file>', 'log of all steps and evaluations: a line of JSON each')
    .option('--log-csv <file>', 'the same as tables: steps in FILE.csv, evaluations in FILE.eval.csv')
    .option('--log-tensorboard <dir>', 'folder of event files for TensorBoard');
}

/** Logs of a run, the label absent where a command has but one. */
export type LogsOf = (run?: RunLabel) => TrainingLog[];

/**
 * @param goesOn whether logs that are there are of the same work
 * @param runs that are to come
 * @throws UserError where a log cannot be written, or may not be replaced
 */
export async function openLogs(
  flags: LogFlags,
  goesOn: boolean,
  runs: readonly (RunLabel | undefined)[] = [undefined],
): Promise<LogsOf> {
  const { logJsonl, logCsv, overwrite } = flags;
  if (logJsonl !== undefined && logCsv !== undefined && resolve(logJsonl) === resolve(logCsv))
    throw new UserError(`--log-csv: ${logCsv} is the file of --log-jsonl, expected another`);
  for (const run of runs) for (const log of logsOf(flags, { run, resume: goesOn, overwrite })) await log.check();
  // The second run finds what the first one wrote.
  let resume = goesOn;
  return (run) => {
    const logs = logsOf(flags, { run, resume, overwrite });
    resume = true;
    return logs;
  };
}

function logsOf({ logJsonl, logCsv, logTensorboard }: LogFlags, options: LogOptions): TrainingLog[] {
  return [
    ...(logJsonl === undefined ? [] : [new JsonlLog(logJsonl, options)]),
    ...(logCsv === undefined ? [] : [new CsvLog(logCsv, options)]),
    ...(logTensorboard === undefined ? [] : [new TensorBoardLog(logTensorboard, options)]),
  ];
}
