/** Protects: results go through pipes, devices, links and standard output; nothing but a regular file is ever replaced. */
import { execFileSync } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { UserError } from '../../../engine/errors.ts';
import { assertWritable, writeFileAtomic } from '../../../engine/io/files.ts';

const makePipe = (path: string): unknown => execFileSync('sh', ['-c', 'mkfifo "$0"', path]);

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'output-'));
});
afterAll(() => rm(dir, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

it('a pipe is written to its end, more than it holds, and stays a pipe', async () => {
  const pipe = join(dir, 'pipe');
  makePipe(pipe);
  await assertWritable(pipe);
  const text = 'a line of text\n'.repeat(20_000);
  const [, read] = await Promise.all([writeFileAtomic(pipe, text), readFile(pipe, 'utf8')]);
  expect(read).toBe(text);
  expect((await lstat(pipe)).isFIFO()).toBe(true);
  expect((await readdir(dir)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});

it('a link stays a link, and what it leads to is replaced, also where that is not there yet', async () => {
  await mkdir(join(dir, 'elsewhere'));
  const [link, second] = [join(dir, 'link'), join(dir, 'second')];
  await symlink(join('elsewhere', 'file'), link);
  await symlink(link, second);
  await assertWritable(second);
  expect(await readdir(join(dir, 'elsewhere'))).toEqual([]);
  for (const text of ['first', 'second']) {
    await writeFileAtomic(second, text);
    expect(await readFile(join(dir, 'elsewhere', 'file'), 'utf8')).toBe(text);
  }
  expect(await readlink(link)).toBe(join('elsewhere', 'file'));
  expect(await readlink(second)).toBe(link);
  expect(await readdir(join(dir, 'elsewhere'))).toEqual(['file']);
});

it('a link to a pipe is written through', async () => {
  const [pipe, link] = [join(dir, 'linked-pipe'), join(dir, 'link-to-pipe')];
  makePipe(pipe);
  await symlink(pipe, link);
  const [, read] = await Promise.all([writeFileAtomic(link, 'text'), readFile(pipe, 'utf8')]);
  expect(read).toBe('text');
  expect((await lstat(pipe)).isFIFO()).toBe(true);
  expect((await lstat(link)).isSymbolicLink()).toBe(true);
});

it.each(['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1', 'out'])('%s is standard output', async (path) => {
  const written: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0);
  const out = path === 'out' ? join(dir, 'out') : path;
  if (path === 'out') await symlink('/dev/stdout', out);
  const before = (await lstat('/dev/stdout')).isSymbolicLink();
  await assertWritable(out);
  await writeFileAtomic(out, 'text');
  expect(written).toEqual(['text']);
  expect((await lstat('/dev/stdout')).isSymbolicLink()).toBe(before);
});

it('links in a ring and a folder are refused in one line', async () => {
  await symlink('ring', join(dir, 'ring'));
  for (const path of [join(dir, 'ring'), dir]) {
    await expect(writeFileAtomic(path, '')).rejects.toThrow(UserError);
    await expect(assertWritable(path)).rejects.toThrow(UserError);
  }
});

it('what cannot be written is told before the work, and nothing is left', async () => {
  await writeFile(join(dir, 'file'), 'text');
  await expect(assertWritable(join(dir, 'file', 'x'))).rejects.toThrow('a part of the path is a file');
  await assertWritable(join(dir, 'new', 'deeper', 'x'));
  expect(await readdir(dir)).not.toContain('new');
  await assertWritable(join(dir, 'file'));
  expect(await readFile(join(dir, 'file'), 'utf8')).toBe('text');
});
