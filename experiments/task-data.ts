/** Room: experiments. The data of a run: of one task, or of several that are learned at once, with the heads that they are for. */
import type { DataSet } from '../data/load/data-set.ts';
import type { KnownHead } from '../data/load/encoding.ts';
import { headOfData } from '../data/load/head-of-data.ts';
import type { DataOptions } from '../data/options.ts';
import type { DataRequest } from '../data/request.ts';
import { loadData } from '../data/source.ts';
import { option, UserError } from '../engine/errors.ts';
import { fingerprintText } from '../engine/io/fingerprint.ts';
import type { OnBytes } from '../engine/io/load.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import type { NamedHead, TaskHead } from '../peft-model/task-heads.ts';
import type { EvaluationData } from '../train/evaluate.ts';
import type { Evaluated } from '../train/evaluation-plan.ts';
import type { TasksToEvaluate } from '../train/task-figures.ts';
import type { RunIdentity } from '../train/identity.ts';
import type { TrainingData } from '../train/on-data.ts';
import { dataFacts } from './identity.ts';

/** A task of a run that has several. */
export interface NamedRequest {
  readonly name: string;
  readonly request: DataRequest;
}

/** What a run is asked to learn: one task, or several by name. */
export type TaskRequests = DataRequest | readonly NamedRequest[];

/** The data of a task. */
export interface TaskData {
  readonly name: string;
  readonly data: DataSet;
}

/** How tasks are loaded. */
export interface TaskLoading {
  readonly data: DataOptions;
  /** One head for all tasks, or one for each. Unless given: one for all where they have the same classes. */
  readonly taskHeads?: 'shared' | 'per-task' | undefined;
  readonly onBytes?: OnBytes | undefined;
}

/** Tasks with their data, at least one. */
export class RunData {
  readonly tasks: readonly TaskData[];
  /** Heads of the tasks, where each has one of its own. */
  readonly heads: readonly NamedHead[] | undefined;

  constructor(tasks: readonly TaskData[], heads?: readonly NamedHead[]) {
    this.tasks = tasks;
    this.heads = heads;
  }

  /** The head of all, or of the first. */
  get head(): TaskHead {
    const { head, labels } = this.tasks[0]!.data;
    return { head, labels };
  }

  /** Names of all tasks. */
  get name(): string {
    return this.tasks.map(({ name }) => name).join(' + ');
  }

  get isMulti(): boolean {
    return this.tasks.length > 1;
  }

  /** As `train` and `estimate` take it. */
  get training(): TrainingData {
    if (!this.isMulti) return this.tasks[0]!.data.train;
    return new Map(this.tasks.map(({ name, data }) => [name, data.train]));
  }

  /** Training examples of each task. */
  get sizes(): readonly number[] {
    return this.tasks.map(({ data }) => data.train.length);
  }

  /** As `train` takes it. */
  get evaluation(): Evaluated {
    return this.isMulti ? this.evaluated : evaluationOf(this.tasks[0]!.data);
  }

  /** As `evaluateTasks` takes it. */
  get evaluated(): TasksToEvaluate {
    return new Map(this.tasks.map(({ name, data }) => [name, evaluationOf(data)]));
  }

  /** The head of a task. */
  forTask(task: string): TaskHead {
    return this.tasks.find(({ name }) => name === task)?.data ?? this.head;
  }
}

/** What a task is evaluated on, and how. */
function evaluationOf({ eval: examples, answers, figures, text }: DataSet): EvaluationData {
  return { ...answers, figures, text, examples };
}

/**
 * Loads the data of a run.
 * @param model the one at hand, which has its heads already
 * @throws UserError as `loadData`; for tasks that do not fit one head, or the model's heads
 */
export async function loadTasks(
  checkpoint: Checkpoint,
  requests: TaskRequests,
  { data: options, taskHeads, onBytes }: TaskLoading,
  model?: PeftModel,
): Promise<RunData> {
  const load = (request: DataRequest, known: KnownHead | undefined): Promise<DataSet> =>
    loadData(checkpoint, request, options, known, onBytes);
  if (!isSeveral(requests)) {
    const data = await load(requests, model);
    return new RunData([{ name: data.name, data }]);
  }
  const loadAll = async (headOf: (name: string, first?: DataSet) => KnownHead | undefined): Promise<TaskData[]> => {
    const tasks: TaskData[] = [];
    for (const { name, request } of requests)
      tasks.push({ name, data: await load(request, headOf(name, tasks[0]?.data)) });
    return tasks;
  };
  if (model) {
    if (taskHeads === 'per-task' && !model.heads)
      throw new UserError(`${option('taskHeads')} per-task: the adapter to start from has one head for all tasks`);
    return new RunData(await loadAll((name) => model.forTask(name)));
  }
  if (taskHeads === 'shared') return new RunData(await loadAll((_, first) => first));
  const tasks = await loadAll(() => undefined);
  const [{ data: first }] = tasks as [TaskData];
  const isAlike = tasks.every(({ data }) => data.head === first.head && String(data.labels) === String(first.labels));
  if (isAlike && taskHeads === undefined) return new RunData(tasks);
  return new RunData(
    tasks,
    tasks.map(({ name, data: { head, labels } }) => ({ name, head, labels })),
  );
}

/** Whether a run has several tasks. */
export function isSeveral(requests: TaskRequests): requests is readonly NamedRequest[] {
  return Array.isArray(requests);
}

/** The head that a run is for, as far as its data tells: of several tasks the first's. */
export function headOfTasks(requests: TaskRequests, options: DataOptions): ReturnType<typeof headOfData> {
  return headOfData(isSeveral(requests) ? requests[0]!.request : requests, options);
}

/** Hashes of all data that is named, under the names of the options that name it. */
export async function taskFacts(requests: TaskRequests, options: DataOptions, modelDir: string): Promise<RunIdentity> {
  if (!isSeveral(requests)) return dataFacts(requests, options, modelDir);
  const facts = new Map<string, string[]>();
  for (const { name, request } of requests)
    for (const [key, hash] of Object.entries(await dataFacts(request, options, modelDir)))
      facts.set(key, [...(facts.get(key) ?? []), `${name} ${String(hash)}`]);
  return Object.fromEntries([...facts].map(([key, hashes]) => [key, fingerprintText(hashes.join('\n'))]));
}
