/**
 * Room: data/hub. From the name of a data set, or of a task whose rows are in one, to files: those of its splits in the Hugging Face cache,
 * downloaded where they are not there. Uses the network, and reads and writes the cache.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { option, UserError } from '../../engine/errors.ts';
import { warn } from '../../engine/warnings.ts';
import { RevisionNotFoundError } from '../../models/hub/errors.ts';
import { Snapshot, type DownloadOptions } from '../../models/hub/snapshot.ts';
import type { DataOptions } from '../options.ts';
import { isDataFile } from '../records.ts';
import { taskOf, type DataRequest } from '../request.ts';
import { splitStems } from '../tasks/find-split.ts';
import { HUB_NAMES } from './names.ts';
import { configsOf, CONVERTED, convertedConfigs, type Splits } from './splits.ts';

/** A data set of the hub. */
export interface HubData {
  /** `user/name`, `user/name@revision` */
  readonly dataset?: string | undefined;
  readonly datasetConfig?: string | undefined;
  /** The split to train on, or, where nothing is trained, to evaluate on. */
  readonly datasetSplit?: string | undefined;
}

type Choice = Pick<DataOptions, 'evalSplit' | 'selectionSplit'>;

/**
 * A request whose data is in files. One that names files, or a task with a folder or a package, stays as it is.
 * @throws UserError where a configuration or split is not there, or several things are named; as `snapshotDownload`
 */
export async function resolveData(
  request: DataRequest & HubData,
  { evalSplit, selectionSplit }: Choice = {},
  options: Omit<DownloadOptions, 'repoType' | 'revision'> = {},
): Promise<DataRequest> {
  const { dataset, datasetConfig: config, datasetSplit: split, ...rest } = request;
  const { evalOnly = false } = rest;
  const isCarved = selectionSplit !== undefined;
  const task = taskOf(rest);
  const isNamed = rest.train !== undefined || rest.eval !== undefined || rest.dataDir !== undefined;
  if (dataset !== undefined) {
    for (const key of ['task', 'dataDir', 'train', 'eval'] as const)
      if (rest[key] !== undefined) throw new UserError(`${option('dataset')} and ${option(key)}: give one of them`);
    const found = await openDataSet(dataset, config, options);
    const learned = evalOnly && !isCarved ? undefined : found.split([split ?? 'train']);
    const judged = isCarved
      ? undefined
      : evalOnly
        ? found.split([split ?? evalSplit ?? []].flat())
        : found.other(evalSplit, learned);
    return { ...rest, name: dataset, ...(await found.files({ train: learned, eval: judged })) };
  }
  for (const key of ['datasetConfig', 'datasetSplit'] as const)
    if (request[key] !== undefined)
      throw new UserError(`${option(key)}: is of a data set; name it with ${option('dataset')}`);
  const onHub = task && HUB_NAMES[task.name];
  const isFile = rest.train !== undefined || rest.eval !== undefined;
  if (evalSplit !== undefined && isFile)
    throw new UserError(`${option('evalSplit')}: is a split of a task or of a data set, expected no files beside it`);
  if (isNamed || !task || task.load || !onHub) return rest;
  const found = await openDataSet(onHub.dataset, onHub.config, options);
  const learned = evalOnly && !isCarved ? undefined : found.split(splitStems(task, 'train'));
  const judged = isCarved ? undefined : found.split(splitStems(task, evalSplit ?? task.evalSplit ?? 'validation'));
  return { ...rest, ...(await found.files({ train: learned, eval: judged })) };
}

/** Names of splits to evaluate on, the usual one first. */
const JUDGED = ['validation', 'dev', 'val', 'valid', 'test'];

/** A configuration of a data set. */
class OpenDataSet {
  readonly #name: string;
  readonly #splits: Splits;
  readonly #snapshot: Snapshot;

  constructor(name: string, splits: Splits, snapshot: Snapshot) {
    this.#name = name;
    this.#splits = splits;
    this.#snapshot = snapshot;
  }

  /** The first of these splits that is there. @throws UserError where none is */
  split(names: readonly string[]): string {
    const wanted = names.length > 0 ? names : [...JUDGED, 'train'];
    const found = wanted.find((name) => this.#splits.has(name));
    if (found !== undefined) return found;
    const there = [...this.#splits.keys()].join(', ') || 'none';
    throw new UserError(`${this.#name}: no split "${wanted[0]}"; there are ${there}`);
  }

  /** The split to evaluate on beside training: the one asked for, else a usual one, where there is one. */
  other(asked: string | undefined, learned: string | undefined): string | undefined {
    if (asked !== undefined) return this.split([asked]);
    return JUDGED.find((name) => name !== learned && this.#splits.has(name));
  }

  /** Files of splits, downloaded. */
  async files(
    splits: Readonly<Record<'train' | 'eval', string | undefined>>,
  ): Promise<Pick<DataRequest, 'train' | 'eval'>> {
    const paths = Object.entries(splits).flatMap(([key, name]) =>
      name === undefined ? [] : [[key, this.#splits.get(name)!] as const],
    );
    const all = new Set(paths.flatMap(([, files]) => files));
    const folder = await this.#snapshot.fetch((path) => all.has(path));
    return Object.fromEntries(
      paths.map(([key, files]) => [key, files.map((path) => join(folder, ...path.split('/')))]),
    );
  }
}

/** Opens a configuration: of the repository's own files, else of those that the hub has converted. */
async function openDataSet(name: string, config: string | undefined, options: DownloadOptions): Promise<OpenDataSet> {
  const snapshot = await Snapshot.open(name, { ...options, repoType: 'dataset' });
  const paths = await snapshot.paths();
  const hasCard = paths.includes('README.md');
  const folder = hasCard ? await snapshot.fetch((path) => path === 'README.md') : undefined;
  const card = folder === undefined ? undefined : await readFile(join(folder, 'README.md'), 'utf8');
  const own = configsOf(configPaths(paths, config), card);
  const splits =
    own.splits.get(config ?? own.usual ?? '') ??
    (own.usual === 'default' && config !== undefined ? own.splits.get('default') : undefined);
  if (splits && splits.size > 0 && [...splits.values()].every((files) => files.length > 0 && files.every(isDataFile)))
    return new OpenDataSet(name, splits, snapshot);
  return openConverted(name, config, options, [...own.splits.keys()]);
}

/** Without a card, configurations are folders. */
function configPaths(paths: readonly string[], config: string | undefined): readonly string[] {
  const within = paths.filter((path) => config !== undefined && path.startsWith(`${config}/`) && isDataFile(path));
  return within.length > 0 ? within : paths;
}

async function openConverted(
  name: string,
  config: string | undefined,
  options: DownloadOptions,
  said: readonly string[],
): Promise<OpenDataSet> {
  const [plain, revision] = name.split('@') as [string, string?];
  const converted = revision === undefined ? await convertedOf(plain, options) : undefined;
  const { splits, usual, isPart } = convertedConfigs(converted ? await converted.paths() : []);
  const found = splits.get(config ?? usual ?? '');
  if (converted && found) {
    if (isPart) warn(`${name}: the hub has converted only the first part of it to Parquet; that is read`);
    return new OpenDataSet(name, found, converted);
  }
  const names = splits.size > 0 ? [...splits.keys()] : said;
  if (names.length > 1 || (config !== undefined && splits.size > 0)) {
    const what =
      config === undefined ? `found several configurations, name one with` : `no configuration "${config}" for`;
    throw new UserError(`${name}: ${what} ${option('datasetConfig')}: ${names.join(', ')}`);
  }
  throw new UserError(`${name}: no files that are read here, expected Parquet, JSON, JSONL, CSV or TSV`);
}

function convertedOf(name: string, options: DownloadOptions): Promise<Snapshot | undefined> {
  return Snapshot.open(name, { ...options, repoType: 'dataset', revision: CONVERTED }).catch((error: unknown) => {
    if (error instanceof RevisionNotFoundError) return undefined;
    throw error;
  });
}
