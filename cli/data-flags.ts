/** Room: cli. The flags that name a model and data, as most commands have them. */
import type { Command } from 'commander';
import type { DataRequest } from '../data/source.ts';
import { addFormatFlag, withDataFiles, type DataFormat } from './data-files.ts';

export interface DataFlags extends Record<string, unknown> {
  readonly model: string;
  readonly task?: string;
  readonly train?: string;
  readonly eval?: string;
  readonly format?: DataFormat;
  readonly json?: boolean;
}

export function addDataFlags(command: Command): Command {
  return addFormatFlag(command)
    .requiredOption('--model <dir>', 'base checkpoint, a Hugging Face folder')
    .option('--task <name>', 'built-in task: sentiment or spam')
    .option('--train <file>', 'training data: JSONL, CSV or TSV; for language models also .txt; - for standard input')
    .option('--eval <file>', 'evaluation data')
    .option('--json', 'print the result as JSON');
}

/** Runs `work` on the data that the flags name, as regular files. */
export function withData<T>(
  { task, train, eval: test, format }: DataFlags,
  work: (request: DataRequest) => Promise<T>,
): Promise<T> {
  return withDataFiles({ train, eval: test }, format, (files) => work({ task, ...files }));
}
