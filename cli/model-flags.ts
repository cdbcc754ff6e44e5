/** Room: cli. The flags of commands that run a model on data: `eval` and `predict`. */
import type { Command } from 'commander';
import { addEngineFlags, type EngineFlags } from './context.ts';
import { DATA_DIR_FLAG, TASK_FLAG } from './data-flags.ts';
import { addFormatFlag, type DataFormat } from './data-files.ts';
import { addHubDataFlags, addModelFlag, type HubDataFlags } from './hub.ts';

const MODEL_SETTINGS = [
  'batchSize',
  'maxLength',
  'docStride',
  'maxAnswerLength',
  'allowEmptyAnswer',
  'nullThreshold',
  'weights',
  'embeddings',
  'compute',
] as const;

const DATA_SETTINGS = ['evalSplit', 'selectionSplit', 'maxEvalExamples', 'dataSeed', 'columns'] as const;

/** Settings of these commands. */
export const INFER_SETTINGS = [...MODEL_SETTINGS, ...DATA_SETTINGS] as const;

export interface InferFlags extends Record<string, unknown>, EngineFlags, HubDataFlags {
  readonly model: string;
  readonly data?: string;
  readonly format?: DataFormat;
}

/** @param dataText what `--data` is for */
export function addInferFlags(command: Command, dataText: string): Command {
  return addHubDataFlags(addModelFlag(addFormatFlag(addEngineFlags(command))))
    .option('--task <name>', TASK_FLAG)
    .option('--data-dir <dir>', DATA_DIR_FLAG)
    .option('--eval, --data <file>', dataText);
}
