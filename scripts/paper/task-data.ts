/** Room: scripts/paper. The data of the table's tasks on this machine. */
import { join } from 'node:path';
import { sequencesOf } from '../../data/encoded-example.ts';
import type { DataSet } from '../../data/load/data-set.ts';
import type { DataRequest } from '../../data/request.ts';
import { loadData } from '../../data/source.ts';
import { camelCase, parseSettings } from '../../experiments/settings.ts';
import { loadModel } from '../../models/checkpoint.ts';
import type { TrialConfig } from '../../report/sweep/schema.ts';
import { plainText } from '../../sweep/spec.ts';
import { splitArticles } from './articles.ts';
import type { StepTokens } from './forecast.ts';
import type { Table } from './table.ts';

type Task = Table['tasks'][string];

/** Model and data of the machine. */
export interface Place {
  readonly model: string;
  /** With the folders of the benchmarks. */
  readonly dataDir: string;
}

/** Flags of a task's data. A file that is split by articles leaves its parts in `out/paper/`. */
export async function dataOf(name: string, { folder, squad }: Task, { dataDir }: Place): Promise<TrialConfig> {
  if (squad === undefined) return { 'data-dir': join(dataDir, folder ?? '') };
  return splitArticles(join(dataDir, squad), join('out', 'paper', 'data', name));
}

/** Encoded for the model as the table's runs encode it. @param parts whether the training data is not needed */
export async function loadTaskData(
  name: string,
  task: Task,
  place: Place,
  parts: Pick<DataRequest, 'evalOnly'> = {},
): Promise<DataSet> {
  const { 'data-dir': dataDir, train, eval: evaluated, ...files } = await dataOf(name, task, place);
  const { task: benchmark, ...options } = { ...task.options, ...files };
  const request =
    benchmark === undefined
      ? { train: plainText(train), eval: plainText(evaluated) }
      : { task: plainText(benchmark), dataDir: plainText(dataDir) };
  const given = new Map(Object.entries(options).map(([flag, value]): [string, unknown] => [camelCase(flag), value]));
  return loadData(await loadModel(place.model), { ...request, ...parts }, parseSettings(given, (key) => key).data);
}

/** Tokens of a step of each task, without padding. */
export async function stepTokens(tasks: Iterable<string>, table: Table, place: Place): Promise<StepTokens> {
  const all = new Map<string, number>();
  for (const name of tasks) {
    const task = table.tasks[name]!;
    const { train } = await loadTaskData(name, task, place);
    let tokens = 0;
    for (const example of train) for (const { ids } of sequencesOf(example)) tokens += ids.length;
    all.set(name, (tokens / train.length) * Number(task.options['batch-size']));
  }
  return all;
}
