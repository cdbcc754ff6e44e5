/** Room: cli. Several tasks on the command line: `--task` given again, or data files as NAME=FILE. */
import { existsSync } from 'node:fs';
import { basename, extname } from 'node:path';
import type { DataOptions } from '../data/options.ts';
import type { DataRequest } from '../data/request.ts';
import { UserError } from '../engine/errors.ts';
import { didYouMean } from '../engine/nearest.ts';
import type { TaskRequests } from '../experiments/task-data.ts';
import { withDataFiles, type DataFormat } from './data-files.ts';
import { onDisk, type HubDataFlags } from './hub.ts';

/** What data flags give, each as often as it was given. */
export interface TaskFlags extends Omit<HubDataFlags, 'task' | 'dataDir'> {
  readonly task?: readonly string[];
  readonly dataDir?: readonly string[];
  readonly format?: DataFormat;
}

/** Files by what they are for. */
export type NamedFiles = Readonly<Partial<Record<'train' | 'eval', readonly string[]>>>;

/** A file, and the task that it is said to be of. */
interface Given {
  readonly name: string | undefined;
  readonly path: string;
}

/** NAME=FILE; a path that exists is a path, whatever it looks like. */
function splitGiven(text: string): Given {
  const [, name, path] = /^([\w.-]+)=(.+)$/s.exec(text) ?? [];
  return name === undefined || path === undefined || existsSync(text)
    ? { name: undefined, path: text }
    : { name, path };
}

/** The tasks that flags name, before their data is looked for. */
interface NamedTask {
  readonly name: string;
  readonly task?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly train?: string | undefined;
  readonly eval?: string | undefined;
}

/**
 * Runs `work` on the data that flags name, as regular files.
 * @param evalFlag the flag of evaluation data, for errors
 */
export function withTasks<T>(
  { task = [], dataDir = [], dataset, datasetConfig, datasetSplit, format }: TaskFlags,
  files: NamedFiles,
  options: DataOptions,
  work: (requests: TaskRequests) => Promise<T>,
  { evalOnly = false, evalFlag = 'eval' } = {},
): Promise<T> {
  const tasks = tasksOf(task, dataDir, files, evalFlag);
  const paths = Object.fromEntries(
    tasks.flatMap(({ name, train, eval: test }) => [
      [`train ${name}`, train],
      [`${evalFlag} ${name}`, test],
    ]),
  ) as Record<string, string | undefined>;
  const named = { dataset, datasetConfig, datasetSplit };
  if (tasks.length > 1 && dataset !== undefined)
    throw new UserError('--dataset: is one task, found several; name their files with --train');
  return withDataFiles(paths, format, async (found) => {
    const requestOf = (each: NamedTask): Promise<DataRequest> => {
      const own = { train: found[`train ${each.name}`], eval: found[`${evalFlag} ${each.name}`] };
      const request = { ...named, task: each.task, dataDir: each.dataDir, ...own, ...(evalOnly && { evalOnly }) };
      return onDisk(request, options);
    };
    const [only] = tasks as [NamedTask];
    if (tasks.length === 1) return work(await requestOf(only));
    const requests = [];
    for (const each of tasks) requests.push({ name: each.name, request: await requestOf(each) });
    return work(requests);
  });
}

/** @throws UserError for names that do not tell which file is which task's */
function tasksOf(
  tasks: readonly string[],
  dirs: readonly string[],
  { train = [], eval: test = [] }: NamedFiles,
  evalFlag: string,
): readonly NamedTask[] {
  const learned = train.map(splitGiven);
  const judged = test.map(splitGiven);
  const count = Math.max(tasks.length, learned.length, judged.length);
  if (count <= 1) {
    const [task, [dir], [own], [other]] = [tasks[0], dirs, learned, judged];
    return [{ name: '', task, dataDir: dir && splitGiven(dir).path, train: own?.path, eval: other?.path }];
  }
  const files = learned.length > 0 ? learned : judged;
  const names = tasks.length > 0 ? tasks : files.map(({ name, path }) => name ?? stem(path));
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new UserError(`two tasks are called "${twice}"${tasks.length > 0 ? '' : '; name them NAME=FILE'}`);
  const placed = (given: readonly Given[], flag: string): Map<string, string> => placedFiles(given, names, flag);
  const [ofTrain, ofEval] = [placed(learned, 'train'), placed(judged, evalFlag)];
  const folders = dirs.map(splitGiven);
  const ofDirs = placed(
    folders.filter(({ name }) => name !== undefined),
    'data-dir',
  );
  const shared = folders.find(({ name }) => name === undefined)?.path;
  return names.map((name) => {
    const own = { train: ofTrain.get(name), eval: ofEval.get(name) };
    const hasFiles = own.train !== undefined || own.eval !== undefined;
    const dataDir = ofDirs.get(name) ?? (hasFiles ? undefined : shared);
    return { name, ...(tasks.length > 0 && { task: name, dataDir }), ...own };
  });
}

function placedFiles(given: readonly Given[], names: readonly string[], flag: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const { name, path } of given) {
    const task = name ?? stem(path);
    if (!names.includes(task)) {
      const found = name === undefined ? `${path} without a name` : `the name "${name}"${didYouMean(name, names)}`;
      throw new UserError(`--${flag}: found ${found}, expected NAME=FILE with one of the tasks ${names.join(', ')}`);
    }
    if (files.has(task)) throw new UserError(`--${flag}: two files for the task "${task}"`);
    files.set(task, path);
  }
  return files;
}

/** A file's name without folders and ending. */
function stem(path: string): string {
  return basename(path, extname(path));
}
