/** Room: cli. The flags that name a model and data, as most commands have them. */
import type { Command } from 'commander';
import type { DataRequest } from '../data/source.ts';

export interface DataFlags extends Record<string, unknown> {
  readonly model: string;
  readonly task?: string;
  readonly train?: string;
  readonly eval?: string;
  readonly json?: boolean;
}

export function addDataFlags(command: Command): Command {
  return command
    .requiredOption('--model <dir>', 'base checkpoint, a Hugging Face folder')
    .option('--task <name>', 'built-in task: sentiment or spam')
    .option('--train <file>', 'training data: JSONL, CSV or TSV; for language models also .txt')
    .option('--eval <file>', 'evaluation data')
    .option('--json', 'print the result as JSON');
}

export function requestOf({ task, train, eval: test }: Pick<DataFlags, 'task' | 'train' | 'eval'>): DataRequest {
  return { task, train, eval: test };
}
