/**
 * Room: data. From what the user named, a task or files, to records that can be read: the splits, the columns and the parts that were asked
 * for. Reads folders, and files when their records are.
 */
import { basename } from 'node:path';
import { option, UserError } from '../engine/errors.ts';
import { renamedColumns } from './columns.ts';
import type { DataOptions } from './options.ts';
import { filesSource, mapped, type RecordSource, type Source } from './record-source.ts';
import { readFeatures, type Fields } from './records.ts';
import { drawn, setApart } from './subsets.ts';
import { findSplit } from './tasks/find-split.ts';
import { taskNamed } from './tasks/registry.ts';
import { packagedRows, rowsOfFiles, type PlacedRow } from './tasks/split-source.ts';
import type { SplitName, Task } from './tasks/task.ts';

/** What the user named: a task, or files. */
export interface DataRequest {
  readonly task?: string | undefined;
  /** Folder of a benchmark, or of one of its tasks. */
  readonly dataDir?: string | undefined;
  /** A file, or several that are parts of one; with a task, in the task's layout. */
  readonly train?: string | readonly string[] | undefined;
  readonly eval?: string | readonly string[] | undefined;
  /** What files are called together, in place of the first one's name. */
  readonly name?: string | undefined;
  /** Whether the training data is not needed. */
  readonly evalOnly?: boolean | undefined;
}

/** The options that say which records are read. */
type Choice = Pick<
  DataOptions,
  'evalSplit' | 'selectionSplit' | 'maxTrainExamples' | 'maxEvalExamples' | 'dataSeed' | 'columns' | 'numFewshot'
>;

/** To learn from and to evaluate on. */
interface Pair<T> {
  readonly train?: T;
  readonly eval?: T;
}

/** What was named, to be read when it is needed. */
export interface RequestedData extends Pair<RecordSource> {
  /** The task's name, or the training file's without its folders. */
  readonly name: string;
  /** Names of the classes by index, where the file says what its numbers stand for. */
  readonly labels?: readonly string[];
}

/** Of a task: its rows. */
export interface RequestedTask extends Pair<Source<PlacedRow>> {
  readonly task: Task;
}

/** The files of a request, in order. Those of a task without files are none. */
export type RequestedFiles = Pair<readonly string[]>;

/** The task of a request. @throws UserError for an unknown name */
export function taskOf({ task }: DataRequest): Task | undefined {
  return task === undefined ? undefined : taskNamed(task);
}

/** @throws UserError where nothing is named, too much is, or a split is not there */
export async function requestedFiles(request: DataRequest, choice: Choice): Promise<RequestedFiles> {
  const { dataDir, train, eval: test, evalOnly } = request;
  const task = taskOf(request);
  if (choice.selectionSplit !== undefined && test !== undefined)
    throw new UserError(`${option('selectionSplit')} and ${option('eval')}: give one of them`);
  if (task?.load) {
    for (const key of ['train', 'eval', 'dataDir'] as const)
      if (request[key] !== undefined)
        throw new UserError(`${option('task')} ${task.name} and ${option(key)}: give one of them`);
    return {};
  }
  const named = {
    ...(train !== undefined && { train: [train].flat() }),
    ...(test !== undefined && { eval: [test].flat() }),
  };
  if (!task) {
    if (dataDir !== undefined)
      throw new UserError(`${option('dataDir')}: is the folder of a task; name it with ${option('task')}`);
    if (train === undefined && test === undefined)
      throw new UserError(`No data: give ${option('task')}, or a file: ${option('train')} and ${option('eval')}`);
    return named;
  }
  if (choice.columns)
    throw new UserError(`${option('columns')}: ${task.name} has its own columns, they are for other files`);
  if (dataDir === undefined) {
    if (train !== undefined || test !== undefined) return named;
    throw new UserError(`${option('dataDir')}: missing, the folder with the files of ${task.name}`);
  }
  if (train !== undefined || test !== undefined)
    throw new UserError(`${option('dataDir')} and ${option(train === undefined ? 'eval' : 'train')}: give one of them`);
  const isCarved = choice.selectionSplit !== undefined;
  return {
    ...((!evalOnly || isCarved || (choice.numFewshot ?? 0) > 0) && { train: await findSplit(task, dataDir, 'train') }),
    ...(!isCarved && { eval: await findSplit(task, dataDir, evalSplitOf(task, choice)) }),
  };
}

function evalSplitOf({ evalSplit = 'validation' }: Task, choice: Choice): SplitName {
  return choice.evalSplit ?? evalSplit;
}

/** The records that files hold. @throws UserError as `requestedFiles` */
export async function requestedData(request: DataRequest, choice: Choice): Promise<RequestedData> {
  const { train, eval: test } = await requestedFiles(request, choice);
  const { columns } = choice;
  const source = async (paths: readonly string[]): Promise<RecordSource> => {
    const known = withoutUnknown(filesSource(paths), Object.keys(await readFeatures(paths[0]!)));
    return columns ? renamedColumns(known, columns) : known;
  };
  const pair = { ...(train && { train: await source(train) }), ...(test && { eval: await source(test) }) };
  const [first] = (train ?? test)!;
  const { [columns?.label ?? 'label']: labels } = await readFeatures(first!);
  const parts = chosen(pair, choice, ({ fields }: Fields) => fields);
  return { name: request.name ?? basename(first!), ...(labels && { labels }), ...parts };
}

/** Records without the classes that are not known: −1 in columns of classes. */
function withoutUnknown(source: RecordSource, classColumns: readonly string[]): RecordSource {
  if (classColumns.length === 0) return source;
  return mapped(source, ({ line, fields }) => {
    const known = Object.entries(fields).filter(([name, value]) => value !== -1 || !classColumns.includes(name));
    return [{ line, fields: Object.fromEntries(known) }];
  });
}

/** The rows of a task. @throws UserError as `requestedFiles` */
export async function requestedTask(task: Task, request: DataRequest, choice: Choice): Promise<RequestedTask> {
  const { train, eval: test } = await requestedFiles(request, choice);
  const pair = task.load
    ? { train: packagedRows(task, 'train'), eval: packagedRows(task, evalSplitOf(task, choice)) }
    : { ...(train && { train: rowsOfFiles(task, train) }), ...(test && { eval: rowsOfFiles(task, test) }) };
  const { group } = task;
  if (!group) return { task, ...chosen(pair, choice, ({ row }: PlacedRow) => task.example(row)) };
  const groupOf = ({ row }: PlacedRow): string => JSON.stringify(group(row));
  return { task, ...chosen(pair, choice, ({ row }: PlacedRow) => ({ group: group(row)[0] }), groupOf) };
}

/** The parts that are asked for: a share of the training data in place of the evaluation's, and so many of each. */
function chosen<T>(
  { train, eval: test }: Pair<Source<T>>,
  { selectionSplit, maxTrainExamples, maxEvalExamples, dataSeed = 0 }: Choice,
  contentOf: (item: T) => object,
  groupOf?: (item: T) => string,
): Pair<Source<T>> {
  const apart = selectionSplit !== undefined && train ? setApart(train, selectionSplit, contentOf) : undefined;
  const least = (source: Source<T> | undefined, count: number | undefined): Source<T> | undefined =>
    source && count !== undefined ? drawn(source, count, dataSeed, groupOf) : source;
  const [learned, judged] = [
    least(apart?.rest ?? train, maxTrainExamples),
    least(apart?.selection ?? test, maxEvalExamples),
  ];
  return { ...(learned && { train: learned }), ...(judged && { eval: judged }) };
}
