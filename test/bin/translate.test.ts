/** Protects: the command runs what its sources say now, is translated once for them, and finds the files that lie beside a source. */
import { execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ROOMS, translate } from '../../bin/translate.js';

const BIN = join(import.meta.dirname, '..', '..', 'bin');

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'light-peft-'));
  await Promise.all(ROOMS.map((room) => mkdir(join(root, room))));
  await writeFile(join(root, 'kernels', 'answer.ts'), `export const answer: string = 'one';`);
  await writeFile(
    join(root, 'train', 'read.ts'),
    `import { readFileSync } from 'node:fs';
     export const read = (): string => readFileSync(new URL('./beside.txt', import.meta.url), 'utf8');`,
  );
  await writeFile(join(root, 'train', 'beside.txt'), 'beside');
  await writeFile(
    join(root, 'cli', 'main.ts'),
    `import { answer } from '../kernels/answer.ts';
     import { read } from '../train/read.ts';
     console.log(answer, read());`,
  );
});
afterEach(() => rm(root, { recursive: true }));

const run = (path: string): string => execFileSync(process.execPath, [path], { encoding: 'utf8' }).trim();
const kept = async (): Promise<string[]> => (await readdir(join(root, '.cache'))).sort();

it('translates sources into one file that knows where they were', async () => {
  expect(run(await translate(root))).toBe('one beside');
});

it('keeps what it made until a source changes, and then nothing of the old', async () => {
  const first = await translate(root);
  expect(await translate(root)).toBe(first);
  await writeFile(join(root, 'kernels', 'answer.ts'), `export const answer: string = 'another';`);
  const second = await translate(root);
  expect(second).not.toBe(first);
  expect(run(second)).toBe('another beside');
  expect(await kept()).toHaveLength(1);
});

it('may be asked by several at once', async () => {
  const paths = await Promise.all([translate(root), translate(root), translate(root)]);
  expect(new Set(paths).size).toBe(1);
  expect(run(await translate(root))).toBe('one beside');
  expect(await kept()).toHaveLength(1);
});

it('leaves nothing behind where a source cannot be read', async () => {
  await writeFile(join(root, 'kernels', 'answer.ts'), 'export const = ;');
  await expect(translate(root)).rejects.toThrow('answer.ts');
  expect(await kept()).toEqual([]);
});

it('says what to do where the npm packages are missing', async () => {
  await cp(BIN, join(root, 'bin'), { recursive: true });
  await writeFile(join(root, 'package.json'), '{ "type": "module" }');
  expect(() => execFileSync(process.execPath, [join(root, 'bin', 'light-peft.js')], { stdio: 'pipe' })).toThrow(
    'npm run setup',
  );
});
