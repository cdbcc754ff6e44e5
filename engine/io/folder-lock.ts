/**
 * Room: engine/io. One process at a time in a folder of results. A file there names the process that is at work, and is touched every
 * minute; that of a process which is gone, or which has not touched it for ten minutes, counts no more.
 */
import { linkSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { option, UserError } from '../errors.ts';
import { warn } from '../warnings.ts';
import { fileError } from './files.ts';
import { isRunning, startOf } from './processes.ts';

const NAME = '.light-peft.lock';

/** Words of the error where another process holds a folder. */
export const AT_WORK = 'is at work there';

const TOUCHED_EVERY = 60_000;
const STALE_AFTER = 600_000;

const holderSchema = z.object({
  host: z.string(),
  pid: z.int().positive(),
  /** In clock ticks since the machine began; absent where the system does not tell. */
  started: z.number().optional(),
});

type Holder = z.infer<typeof holderSchema>;

/** Held until it is released, or the process ends. */
export class FolderLock {
  readonly #path: string;
  readonly #text: string;
  readonly #timer: NodeJS.Timeout;
  readonly #release = (): void => this.release();

  private constructor(path: string, text: string) {
    this.#path = path;
    this.#text = text;
    this.#timer = setInterval(() => void this.#touch(), TOUCHED_EVERY).unref();
    process.once('exit', this.#release);
  }

  /**
   * @param folder is there
   * @throws UserError where another process holds it, or nothing can be written there
   */
  static async take(folder: string): Promise<FolderLock> {
    const path = join(folder, NAME);
    const own: Holder = { host: hostname(), pid: process.pid, started: startOf(process.pid) };
    const text = `${JSON.stringify(own)}\n`;
    for (;;) {
      const error = await writeFile(path, text, { flag: 'wx' }).catch((e: unknown) => e as NodeJS.ErrnoException);
      if (!error) return new FolderLock(path, text);
      if (error.code !== 'EEXIST') throw fileError(folder, error);
      const found = readText(path);
      const age = await stat(path).then(
        ({ mtimeMs }) => Date.now() - mtimeMs,
        () => undefined,
      );
      if (found === undefined || age === undefined) continue;
      const holder = holderOf(found);
      if (age < STALE_AFTER && !isGone(holder)) {
        const who = holder ? `process ${holder.pid} on ${holder.host}` : 'another process';
        throw new UserError(`${folder}: ${who} ${AT_WORK}: wait for it, or use another ${option('out')}`);
      }
      removeStale(path, found);
    }
  }

  /** The process at work in a folder. @returns undefined where there is none, or it is gone */
  static async holder(
    folder: string,
  ): Promise<{ readonly pid: number; readonly host: string; readonly isHere: boolean } | undefined> {
    const path = join(folder, NAME);
    const text = readText(path);
    const age = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => undefined,
    );
    const found = text === undefined ? undefined : holderOf(text);
    if (!found || age === undefined || age >= STALE_AFTER || isGone(found)) return undefined;
    return { pid: found.pid, host: found.host, isHere: found.host === hostname() };
  }

  /** Lets others in. */
  release(): void {
    clearInterval(this.#timer);
    process.off('exit', this.#release);
    if (readText(this.#path) === this.#text) rmSync(this.#path, { force: true });
  }

  async #touch(): Promise<void> {
    if (readText(this.#path) === this.#text) {
      const now = new Date();
      await utimes(this.#path, now, now).catch(() => undefined);
    } else {
      clearInterval(this.#timer);
      warn(`${this.#path}: is no longer this process’s; another one may be at work in the same folder`);
    }
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Undefined: not written yet, or by another program. */
function holderOf(text: string): Holder | undefined {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Whether a process of this machine has ended; of others only the file's age tells. */
function isGone(holder: Holder | undefined): boolean {
  if (holder?.host !== hostname()) return false;
  if (!isRunning(holder.pid)) return true;
  const began = startOf(holder.pid);
  return began !== undefined && holder.started !== undefined && began !== holder.started;
}

/** Removes the file that was found, but not one that another process has put in its place meanwhile. */
function removeStale(path: string, found: string): void {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
    if (readText(aside) !== found) linkSync(aside, path);
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw fileError(path, error);
  }
  rmSync(aside, { force: true });
}
