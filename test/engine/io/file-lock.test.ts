/** Protects: a lock on a file keeps others out, those of other programs too, and one whose file is gone keeps nobody out. */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { withFileLock } from '../../../engine/io/file-lock.ts';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lock-'));
  path = join(folder, 'a.lock');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

it('works run one after the other', async () => {
  let running = 0;
  const most = await Promise.all(
    [1, 2, 3].map(() =>
      withFileLock(path, async (isHeld) => {
        expect(isHeld).toBe(true);
        running++;
        await pause(50);
        return running--;
      }),
    ),
  );
  expect(most).toEqual([1, 1, 1]);
});

it('a lock of another program is waited for', async () => {
  const holder = spawn('perl', [
    '-e',
    `open(F, ">", $ARGV[0]); flock(F, 2); print "held\\n"; $|=1; print ""; sleep 1`,
    path,
  ]);
  await new Promise((resolve) => holder.stdout.once('data', resolve));
  const begun = performance.now();
  await withFileLock(path, () => Promise.resolve());
  expect(performance.now() - begun).toBeGreaterThan(300);
});

it('ends with an error, and where the file was removed', async () => {
  await expect(withFileLock(path, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  let second: Promise<boolean> | undefined;
  await withFileLock(path, async () => {
    second = withFileLock(path, (isHeld) => Promise.resolve(isHeld));
    await pause(200);
    rmSync(path);
  });
  expect(await second).toBe(true);
});
