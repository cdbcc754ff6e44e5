/** Room: cli. The flags of commands that run a model on data: `eval` and `predict`. */
import type { Command } from 'commander';
import { UserError } from '../engine/errors.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import { taskHeadNames } from '../peft-model/task-heads.ts';
import { addEngineFlags, say, type EngineFlags } from './context.ts';
import { DATA_DIR_FLAG, TASK_FLAG } from './data-flags.ts';
import { collect } from './config-file.ts';
import { addFormatFlag } from './data-files.ts';
import { addHubDataFlags, addModelFlag } from './hub.ts';
import type { TaskFlags } from './task-flags.ts';

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

export interface InferFlags extends Record<string, unknown>, EngineFlags, TaskFlags {
  readonly model: string;
  readonly data?: readonly string[];
  readonly taskHead?: string;
  readonly merge?: boolean;
}

/** @param dataText what `--data` is for */
export function addInferFlags(command: Command, dataText: string): Command {
  return addHubDataFlags(addModelFlag(addFormatFlag(addEngineFlags(command))))
    .option('--task <name>', TASK_FLAG, collect)
    .option('--data-dir <dir>', DATA_DIR_FLAG, collect)
    .option('--eval, --data <file>', `${dataText}; given again as NAME=FILE, several tasks`, collect)
    .option('--merge', 'add the adapter to the base’s weights first: faster inference; LoRA, DoRA and (IA)³')
    .option('--task-head <name>', 'of an adapter of several tasks, the head to use (default: that of the task)');
}

/**
 * The head of an adapter that a task is for: the one asked for, else the one of the task's name; the first where there is none, which is said.
 * @returns undefined for an adapter with one head
 */
export async function taskHeadFor(
  adapter: string | undefined,
  asked: string | undefined,
  task: string | undefined,
): Promise<string | undefined> {
  const names = adapter === undefined ? [] : await taskHeadNames(adapter);
  if (asked !== undefined || names.length === 0) return asked;
  const own = names.find((name) => name === task);
  if (own === undefined) say(`${adapter}: the head of ${names[0]}; of ${names.join(', ')}, --task-head names another`);
  return own ?? names[0];
}

/** Merges a model's adapter into its base where that was asked for. @throws UserError for several adapters, and as `merge` */
export async function mergeIfAsked(models: readonly PeftModel[], { merge }: Pick<InferFlags, 'merge'>): Promise<void> {
  if (!merge) return;
  if (models.length > 1) throw new UserError('--merge: found several adapters on one base, expected one');
  await models[0]!.merge();
}
