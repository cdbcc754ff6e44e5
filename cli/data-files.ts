/**
 * Room: cli. Data files as commands are given them. Data is read more than once, and the name's ending tells its format: what comes from
 * standard input (`-`), a pipe or a device, or has its format told by `--format`, is kept as a file of that ending for as long as the command
 * runs.
 */
import { createReadStream, createWriteStream, rmSync } from 'node:fs';
import { mkdir, mkdtemp, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Option, type Command } from 'commander';
import { formatOf } from '../data/records.ts';
import { UserError } from '../engine/errors.ts';
import { fileError } from '../engine/io/files.ts';

const FORMATS = ['jsonl', 'json', 'csv', 'tsv', 'parquet', 'txt'] as const;

export type DataFormat = (typeof FORMATS)[number];

/** Of commands that read data. */
export function addFormatFlag(command: Command): Command {
  const text = 'format of the data files, in place of their endings; standard input (-) needs it';
  return command.addOption(new Option('--format <name>', text).choices(FORMATS));
}

/**
 * Runs `work` with paths of regular files in place of what was given. Errors name what was given.
 * @param given by flag; undefined where a flag was not given
 */
export async function withDataFiles<K extends string, T>(
  given: Readonly<Record<K, string | undefined>>,
  format: DataFormat | undefined,
  work: (files: Readonly<Record<K, string | undefined>>) => Promise<T>,
): Promise<T> {
  const files: Record<K, string | undefined> = { ...given };
  const kept = new Map<string, string>();
  let folder: string | undefined;
  const remove = (): void => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', remove);
  try {
    for (const [flag, path] of Object.entries(given) as [K, string | undefined][]) {
      if (path === undefined || !(await mustBeKept(path, format))) continue;
      const name = path === '-' ? 'standard input' : path;
      if ([...kept.values()].includes(name))
        throw new UserError(`--${flag.split(' ')[0]}: ${name} can be read only once`);
      const ending = format === undefined ? extname(path) : `.${format}`;
      if (ending === '') throw new UserError(`--format: missing, the name of ${name} does not tell the format`);
      folder ??= await mkdtemp(join(tmpdir(), 'light-peft-'));
      const copy = join(folder, `${kept.size}`, `${path === '-' ? 'stdin' : basename(path, extname(path))}${ending}`);
      kept.set(copy, name);
      await keep(path, copy).catch((error: unknown) => {
        throw fileError(name, error);
      });
      files[flag] = copy;
    }
    return await work(files);
  } catch (error) {
    for (const [copy, name] of error instanceof UserError ? kept : [])
      (error as UserError).message = (error as UserError).message.replaceAll(copy, name);
    throw error;
  } finally {
    remove();
    process.off('exit', remove);
  }
}

/** A regular file is read where it is, if its ending tells the format. What is not there is told by its reader. */
async function mustBeKept(path: string, format: DataFormat | undefined): Promise<boolean> {
  if (path === '-') return true;
  const found = await stat(path).catch(() => undefined);
  if (!found || found.isDirectory()) return false;
  return !found.isFile() || (format !== undefined && formatOf(path) !== `.${format}`);
}

async function keep(path: string, copy: string): Promise<void> {
  await mkdir(dirname(copy));
  await pipeline(path === '-' ? process.stdin : createReadStream(path), createWriteStream(copy, { flags: 'wx' }));
}
