/**
 * Room: engine/io. A lock on a file as other programs take it (`flock`), Python's `filelock` among them. Node.js has no call for it. The lock
 * is the open file's, so that a small program that is handed the file can take it for this process; it ends with the file's closing.
 */
import { spawn } from 'node:child_process';
import { open, stat, type FileHandle } from 'node:fs/promises';

/** Each takes the lock of its descriptor 3 and ends. The first is Linux's, the second is everywhere but on Windows. */
const TAKERS: readonly (readonly [string, ...string[]])[] = [
  ['flock', '-x', '3'],
  ['perl', '-e', 'open(my $f, "+<&=", 3) or exit 1; flock($f, 2) or exit 1'],
];

/** Milliseconds after which waiting is worth a word. */
const PATIENCE = 2000;

/** As Python makes them: a group may share a cache. */
const MODE = 0o664;

/**
 * Runs `work` while nobody else has the lock.
 * @param path of the lock's file, which is made and stays; its folder is there
 * @param work is told whether the lock is held: there are systems without it
 * @param onWait called once where another process has it
 */
export async function withFileLock<T>(
  path: string,
  work: (isHeld: boolean) => Promise<T>,
  onWait: () => void = () => undefined,
): Promise<T> {
  const waiting = setTimeout(onWait, PATIENCE);
  const { file, isHeld } = await lockedFile(path).finally(() => clearTimeout(waiting));
  try {
    return await work(isHeld);
  } finally {
    await file.close();
  }
}

async function lockedFile(path: string): Promise<{ readonly file: FileHandle; readonly isHeld: boolean }> {
  for (;;) {
    const file = await open(path, 'a+', MODE);
    const isHeld = await lock(file.fd);
    // Who held it before may have removed the file: then others lock another one.
    if (!isHeld || (await isAt(path, file))) return { file, isHeld };
    await file.close();
  }
}

async function isAt(path: string, file: FileHandle): Promise<boolean> {
  const [own, there] = await Promise.all([file.stat(), stat(path).catch(() => undefined)]);
  return own.ino === there?.ino && own.dev === there.dev;
}

async function lock(fd: number): Promise<boolean> {
  for (const [command, ...args] of TAKERS) {
    const code = await exitCode(command, args, fd);
    if (code !== undefined) return code === 0;
  }
  return false;
}

/** Undefined where there is no such program. */
function exitCode(command: string, args: readonly string[], fd: number): Promise<number | null | undefined> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'ignore', fd] });
    child.once('error', () => resolve(undefined));
    child.once('exit', resolve);
  });
}
