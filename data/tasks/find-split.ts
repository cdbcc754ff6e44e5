/** Room: data/tasks. Where the files of a task's split lie in a folder, in the layouts of benchmarks and of the Hugging Face hub. Reads folders. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { option, UserError } from '../../engine/errors.ts';
import { fileError } from '../../engine/io/files.ts';
import { isDataFile } from '../records.ts';
import { plainName } from './fields.ts';
import type { SplitName, Task } from './task.ts';

/** Names of a split's file, without ending. */
const STEMS: Readonly<Record<SplitName, readonly string[]>> = {
  train: ['train'],
  validation: ['validation', 'dev', 'val', 'valid'],
  test: ['test'],
};

/** Folders below a task's own in which the hub keeps files. */
const BELOW = ['data', 'default', 'plaintext', 'main'];

/**
 * The files of a split, in order: one, or the parts of a Parquet split.
 * @param dir the benchmark's folder, or the task's own
 * @throws UserError naming the files that were looked for, where there are none
 */
export async function findSplit(task: Task, dir: string, split: SplitName): Promise<readonly string[]> {
  const stems = splitStems(task, split);
  const folders = await foldersOf(task, dir);
  for (const stem of stems) {
    for (const folder of folders) {
      const files = await filesOf(folder, stem);
      if (files.length > 0) return files;
    }
  }
  const looked = stems.map((stem) => `${stem}.*`).join(', ');
  const missing = folders.length > 1 ? '' : `, which has no folder ${namesOf(task).join(' or ')}`;
  throw new UserError(
    `${option('dataDir')}: no ${split} split of ${task.name}; looked for ${looked} or their parts (${stems[0]}-00000-of-…) in ${folders.join(', ')}${missing}`,
  );
}

/** What a split of a task may be called, the likeliest first. @throws UserError where the task has no such split */
export function splitStems({ name, files = {} }: Task, split: SplitName): readonly string[] {
  const stems = files[split] ?? STEMS[split];
  if (stems.length > 0) return stems;
  const others = Object.entries(files).flatMap(([other, own]) => (own.length > 0 ? [other] : []));
  throw new UserError(`${option('task')} ${name}: has no ${split} split, only ${others.join(' and ')}`);
}

/** Levels of folders that are looked into, as `Data/Main` below `OpenBookQA-V1-Sep2018`. */
const DEPTH = 3;

/** The task's own folders first, deepest first, then the given one; each with the hub's below. */
async function foldersOf(task: Task, dir: string): Promise<readonly string[]> {
  const own = [task.name, ...namesOf(task)].map(plainName);
  const below = async (folder: string, depth: number): Promise<readonly string[]> => {
    const names = depth < DEPTH ? await subfolders(folder) : [];
    const paths = (wanted: readonly string[]): string[] =>
      names.filter((name) => wanted.includes(plainName(name))).map((name) => join(folder, name));
    const [ownPaths, others] = [paths(own), paths(BELOW)];
    const visit = (all: readonly string[]): Promise<(readonly string[])[]> =>
      Promise.all(all.map((path) => below(path, depth + 1)));
    const [first, last] = [await visit(ownPaths), await visit(others.filter((path) => !ownPaths.includes(path)))];
    return [...first.flat(), folder, ...last.flat()];
  };
  return below(dir, 0);
}

/** Of a task's own folder. */
function namesOf({ name, folders = [] }: Task): readonly string[] {
  return [name.slice(name.indexOf('/') + 1), ...folders];
}

async function subfolders(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch((error: unknown) => {
    throw fileError(dir, error);
  });
  const found = await Promise.all(
    entries.map(async (entry) => {
      const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && (await isDirectory(join(dir, entry.name))));
      return isFolder ? [entry.name] : [];
    }),
  );
  return found.flat().sort();
}

function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** `train.tsv`, or all of `train-00000-of-00002.parquet` and its like. @throws UserError where parts are missing or formats are several */
async function filesOf(folder: string, stem: string): Promise<readonly string[]> {
  const names = (await readdir(folder)).filter(isDataFile).sort();
  const parts = names.filter((name) => new RegExp(`^${stem}-\\d{5}-of-\\d{5}\\.`).test(name));
  if (parts.length > 0) {
    const total = Number(/-of-(\d{5})/.exec(parts[0]!)![1]);
    if (parts.length === total) return parts.map((name) => join(folder, name));
    throw new UserError(`${join(folder, parts[0]!)}: found ${parts.length} of ${total} parts, expected all`);
  }
  const wholes = names.filter((name) => name.toLowerCase().startsWith(`${stem.toLowerCase()}.`));
  // A benchmark that has its files in several formats has all that is in them as JSON.
  const whole = wholes.find((name) => /\.jsonl?(\.gz)?$/i.test(name)) ?? wholes[0];
  return whole === undefined ? [] : [join(folder, whole)];
}
