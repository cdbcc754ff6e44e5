/**
 * Room: engine/io. Where results go: into a file that is replaced whole, or through what only passes them on, as standard output, a pipe
 * and a device do. Symbolic links are followed; nothing but a regular file is ever replaced.
 */
import { once } from 'node:events';
import { constants, createWriteStream, openSync } from 'node:fs';
import { access, open, readlink, realpath, stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import { dirname, isAbsolute, join } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { UserError } from '../errors.ts';

/** A file while it is written. */
export interface OpenFile {
  /** Adds to the end. */
  writeFile(data: string | Uint8Array): Promise<void>;
}

/** Where results at a path go. */
export type Output =
  /** A regular file, there or not yet, that is replaced; links to it are followed. */
  | { readonly kind: 'file'; readonly path: string }
  /** Written through. */
  | { readonly kind: 'pipe' | 'device'; readonly path: string }
  /** Open in this process already. */
  | { readonly kind: 'descriptor'; readonly number: number };

/** Links that are followed, as many as Linux follows. */
const MOST_LINKS = 40;

/** @throws UserError for a folder, or links in a ring */
export async function outputOf(path: string): Promise<Output> {
  let file = path;
  for (let links = 0; links <= MOST_LINKS; links++) {
    const number = descriptorOf(file);
    if (number !== undefined) return { kind: 'descriptor', number };
    // Links of /proc lead to what has no path.
    const target = file.startsWith('/proc/') ? undefined : await readlink(file).catch(() => undefined);
    if (target === undefined) return { kind: await kindOf(file), path: file };
    file = isAbsolute(target) ? target : join(await realpath(dirname(file)), target);
  }
  throw new UserError(`${path}: symbolic links in a ring`);
}

/** The descriptor of this process that a path names; `-` is standard output. */
function descriptorOf(path: string): number | undefined {
  if (path === '-' || path === '/dev/stdout') return 1;
  if (path === '/dev/stderr') return 2;
  const [, owner, number] = /^\/(?:dev|proc\/(self|\d+))\/fd\/(\d+)$/.exec(path) ?? [];
  const isOwn = owner === undefined || owner === 'self' || Number(owner) === process.pid;
  return number !== undefined && isOwn ? Number(number) : undefined;
}

async function kindOf(path: string): Promise<'file' | 'pipe' | 'device'> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) throw new UserError(`${path}: is a folder, expected a file`);
  if (!found || found.isFile()) return 'file';
  return found.isFIFO() ? 'pipe' : 'device';
}

/** Whether results at `path` go to standard output. */
export async function isStandardOutput(path: string): Promise<boolean> {
  const output = await outputOf(path);
  return output.kind === 'descriptor' && output.number === 1;
}

/** What `openThrough` gives. */
interface ThroughFile extends OpenFile {
  close(): Promise<void>;
}

/** Milliseconds between two looks whether a pipe has a reader. */
const READER_AFTER = 50;

/** Opens what is no regular file; waits for a pipe's reader. Nothing is made there, and nothing is cut off. */
export async function openThrough(output: Exclude<Output, { kind: 'file' }>): Promise<ThroughFile> {
  if (output.kind !== 'descriptor')
    return output.kind === 'pipe' ? openPipe(output.path) : open(output.path, constants.O_WRONLY);
  const { number } = output;
  if (number === 1) return throughStream(process.stdout);
  return throughStream(number === 2 ? process.stderr : createWriteStream('', { fd: number, autoClose: false }));
}

/** @throws an error of the file system where `openThrough` may not write. A pipe is not opened: its reader would take that for all. */
export async function assertWritableThrough(output: Exclude<Output, { kind: 'file' }>): Promise<void> {
  if (output.kind !== 'descriptor') await access(output.path, constants.W_OK);
}

/** Opened and written to without a thread that waits: one could not be stopped, and would keep the process from ending. */
async function openPipe(path: string): Promise<ThroughFile> {
  for (;;) {
    try {
      const socket = new Socket({ fd: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK), readable: false });
      const through = throughStream(socket);
      const closed = new Promise((resolve) => socket.once('close', resolve));
      return {
        ...through,
        async close() {
          socket.end();
          await closed;
          await through.close();
        },
      };
    } catch (error) {
      // Nobody reads yet.
      if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
      await setTimeout(READER_AFTER);
    }
  }
}

function throughStream(stream: Writable): ThroughFile {
  let failure: Error | undefined;
  stream.once('error', (error) => (failure = error));
  const check = (): Promise<void> => (failure ? Promise.reject(failure) : Promise.resolve());
  return {
    async writeFile(data) {
      await check();
      if (!stream.write(data)) await once(stream, 'drain');
      await check();
    },
    close: check,
  };
}
