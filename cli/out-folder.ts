/**
 * Room: cli. The folder that a command writes: tried before any work, held by one process at a time, and never one with the results of
 * something else. Going on with one's own is told by `identity.json`, which says what a result is of.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../engine/errors.ts';
import { exists, fileError, removeEmpty, removeEmptySync } from '../engine/io/files.ts';
import { makeFolder } from '../engine/io/make-folder.ts';
import { FolderLock } from '../engine/io/folder-lock.ts';
import { assertSameRun, isSameRun, writeIdentity } from '../experiments/identity.ts';
import type { RunIdentity } from '../train/identity.ts';
import { say } from './context.ts';

export interface OutFlags {
  readonly out: string;
  readonly overwrite?: boolean;
}

export function addOutFlags(command: Command, description: string): Command {
  return command
    .requiredOption('--out <dir>', description)
    .option('--overwrite', 'replace what another command left in --out, in place of refusing');
}

/** What the commands leave in folders, and what it is called. */
const RESULTS: readonly (readonly [file: string, what: string])[] = [
  ['checkpoint.safetensors', 'the checkpoint of a run that was stopped'],
  ['pretrain.checkpoint.safetensors', 'the checkpoint of a run that was stopped'],
  ['comparison.json', 'a comparison'],
  ['records.json', 'an estimation'],
  ['plan.json', 'a pruned adapter'],
  ['adapter_config.json', 'an adapter'],
  ['adapter_model.safetensors', 'an adapter'],
  ['adapter.safetensors', 'an adapter'],
  ['train.json', 'a training’s result'],
  ['model.safetensors', 'a model'],
  ['model.safetensors.index.json', 'a model'],
  ['adapter/adapter_config.json', 'an adapter'],
  ['base/config.json', 'a model'],
];

/** What a result is of, and what a run is that has none yet. */
const IDENTITY = 'identity.json';

/**
 * Runs `work` with the folder there and locked; what was made for it goes again if nothing was written.
 * @throws UserError where the folder cannot be written, or another process is at work there
 */
export async function withOutFolder<T>({ out }: OutFlags, work: () => Promise<T>): Promise<T> {
  if (out === '-') throw new UserError('--out: - is standard output, expected a folder');
  const made = await makeFolder(out).catch((error: unknown) => {
    throw fileError(out, error);
  });
  try {
    const lock = await FolderLock.take(out);
    // A signal ends the process here; the lock has let go by then.
    const removeMade = (): void => removeEmptySync(made);
    process.once('exit', removeMade);
    try {
      return await work();
    } finally {
      process.off('exit', removeMade);
      lock.release();
    }
  } finally {
    // A mark on nothing would only be in the way of the next run.
    const left = await readdir(out).catch((): string[] => []);
    if (left.length === 1 && left[0] === IDENTITY) await rm(join(out, IDENTITY));
    await removeEmpty(made);
  }
}

/**
 * @param own a file that may be there, because the command checks by itself what it is of
 * @throws UserError where the folder holds what some command left, unless that may be overwritten
 */
export async function assertFree({ out, overwrite = false }: OutFlags, own?: string): Promise<void> {
  if (overwrite) return;
  for (const [file, what] of RESULTS) {
    if (file === own || !(await exists(join(out, file)))) continue;
    const resume = file.endsWith('checkpoint.safetensors') ? 'go on with --resume, ' : '';
    throw new UserError(`${out}: holds ${what} (${file}): ${resume}use another --out, or --overwrite`);
  }
}

/** Files by which a stage's folder is known. */
export interface StageFiles {
  /** There while the stage has not come to its end. */
  readonly checkpoint: string;
  /** There at its end. */
  readonly result: string;
}

/** Whether the folder is marked as a run's. */
export function isClaimed(out: string): Promise<boolean> {
  return exists(join(out, IDENTITY));
}

/** How a stage begins. */
export type Beginning = 'new' | 'resumed' | 'finished';

/**
 * What a stage does with its folder: begins, goes on, or has been finished before. Says so where `resume` was asked for.
 * @throws UserError where the folder holds something else, or the same of other settings or data
 */
export async function beginningIn(
  flags: OutFlags & { readonly resume?: boolean },
  { checkpoint, result }: StageFiles,
  identity: RunIdentity,
): Promise<Beginning> {
  const { out, overwrite = false, resume = false } = flags;
  const path = join(out, IDENTITY);
  const isKnown = await isClaimed(out);
  const isOther = isKnown && overwrite && !(await isSameRun(path, identity));
  if (resume && !isOther) {
    if (isKnown) await assertSameRun(path, identity);
    if (await exists(join(out, checkpoint))) return 'resumed';
    if (await exists(join(out, result))) {
      say(`${join(out, result)}: finished already, nothing is done`);
      return 'finished';
    }
  }
  if (!(resume && isKnown)) await assertFree(flags);
  if (resume) say(`${out}: no checkpoint to resume, starting with the first step`);
  return 'new';
}

/** Marks the folder as this run's. Called when everything is at hand that it needs. */
export async function claim(
  out: string,
  { checkpoint, result }: StageFiles,
  beginning: Beginning,
  identity: RunIdentity,
): Promise<void> {
  if (beginning === 'new') for (const name of [checkpoint, result]) await rm(join(out, name), { force: true });
  await writeIdentity(join(out, IDENTITY), identity);
}
