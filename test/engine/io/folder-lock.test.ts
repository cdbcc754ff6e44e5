/** Protects: one process at a time in a folder; what a process that is gone or stands still has left does not keep others out. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { UserError } from '../../../engine/errors.ts';
import { FolderLock } from '../../../engine/io/folder-lock.ts';
import { startOf } from '../../../engine/io/processes.ts';

let dir: string;
let path: string;
const folders: string[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'lock-'));
  path = join(dir, '.light-peft.lock');
  folders.push(dir);
});
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

const other = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)'], { stdio: 'ignore' });
afterAll(() => other.kill('SIGKILL'));

const isLinux = process.platform === 'linux';

const hold = (holder: object): Promise<void> => writeFile(path, JSON.stringify(holder));

/** Takes the lock, and lets it go again. */
async function take(): Promise<void> {
  const lock = await FolderLock.take(dir);
  lock.release();
}

it('names this process while it is held, and is gone afterwards', async () => {
  const lock = await FolderLock.take(dir);
  const started = startOf(process.pid);
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({
    host: hostname(),
    pid: process.pid,
    ...(isLinux && { started }),
  });
  await expect(FolderLock.take(dir)).rejects.toThrow(`process ${process.pid} on ${hostname()} is at work there`);
  lock.release();
  expect(existsSync(path)).toBe(false);
});

it('of a living process, and of any on another machine, it keeps others out', async () => {
  await hold({ host: hostname(), pid: other.pid, started: startOf(other.pid!) });
  await expect(FolderLock.take(dir)).rejects.toThrow(UserError);
  await hold({ host: 'another-machine', pid: 1, started: 1 });
  await expect(FolderLock.take(dir)).rejects.toThrow('process 1 on another-machine');
  await writeFile(path, '');
  await expect(FolderLock.take(dir)).rejects.toThrow('another process is at work there');
});

it('of a process that is gone it is stale, also where its number was given again', async () => {
  const dead = spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' });
  const started = startOf(dead.pid!);
  await once(dead, 'exit');
  await hold({ host: hostname(), pid: dead.pid, started });
  await take();
  if (isLinux) {
    await hold({ host: hostname(), pid: other.pid, started: startOf(other.pid!)! - 1 });
    await take();
  }
  expect(existsSync(path)).toBe(false);
});

it('not touched for ten minutes it is stale, whoever holds it', async () => {
  const ago = (minutes: number): Date => new Date(Date.now() - minutes * 60_000);
  for (const holder of [
    { host: hostname(), pid: other.pid },
    { host: 'another-machine', pid: 1 },
  ]) {
    await hold(holder);
    await utimes(path, ago(9), ago(9));
    await expect(FolderLock.take(dir)).rejects.toThrow(UserError);
    await utimes(path, ago(11), ago(11));
    await take();
  }
});

it('that another process has taken over is not removed', async () => {
  const lock = await FolderLock.take(dir);
  await hold({ host: hostname(), pid: other.pid, started: startOf(other.pid!) });
  lock.release();
  expect(existsSync(path)).toBe(true);
});
