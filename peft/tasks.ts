/** Room: peft. How Hugging Face PEFT tells what a model is for: a task type, or the class of models that have none. */
import type { HeadKind, ModelConfig } from '../models/architecture.ts';
import { className, headOfClass } from '../models/config.ts';
import type { CommonConfig } from './keys.ts';

/** Task types by head, null where PEFT has none, and the modules that it saves with them. */
const TASKS: Readonly<Record<HeadKind, { taskType: string | null; modulesToSave: readonly string[] }>> = {
  classification: { taskType: 'SEQ_CLS', modulesToSave: ['classifier', 'score'] },
  'causal-lm': { taskType: 'CAUSAL_LM', modulesToSave: [] },
  'question-answering': { taskType: 'QUESTION_ANS', modulesToSave: ['qa_outputs'] },
  'multiple-choice': { taskType: null, modulesToSave: ['classifier'] },
  'masked-lm': { taskType: null, modulesToSave: [] },
};

const KINDS = Object.keys(TASKS) as HeadKind[];

/** PEFT's task types. */
export const TASK_TYPES: readonly string[] = KINDS.flatMap((kind) => TASKS[kind].taskType ?? []);

type TaskKeys = Pick<CommonConfig, 'taskType' | 'extra'>;

/** What a configuration says of a head. */
export function taskKeys(config: ModelConfig, head: HeadKind): TaskKeys & Pick<CommonConfig, 'modulesToSave'> {
  const task = TASKS[head];
  if (task.taskType !== null) return { ...task, extra: {} };
  const module = config.family.replaceAll('-', '_');
  const mapping = {
    base_model_class: className(config, head),
    parent_library: `transformers.models.${module}.modeling_${module}`,
  };
  return { ...task, extra: { auto_mapping: mapping } };
}

/** The head that a configuration names, if it does. */
export function headOfTask(config: ModelConfig, { taskType, extra }: TaskKeys): HeadKind | undefined {
  if (taskType !== null) return KINDS.find((kind) => TASKS[kind].taskType === taskType);
  const mapping = extra.auto_mapping as { base_model_class?: unknown } | null | undefined;
  return headOfClass(config, mapping?.base_model_class);
}

/** What `modules_to_save` calls the module of a weight: the first part of its name below the family's prefix. */
export function savedModule({ architecture: { prefix } }: ModelConfig, name: string): string {
  return name.slice(name.startsWith(prefix) ? prefix.length : 0).split('.')[0] as string;
}
