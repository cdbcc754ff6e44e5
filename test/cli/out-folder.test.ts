/**
 * Protects: a folder that holds another result is refused, and left as it is; a run goes on in its own with the data that it began
 * with, wherever that lies, and a finished one does nothing; the folder is tried before any work.
 */
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { runCommand } from '../../cli/program.ts';
import { FolderLock } from '../../engine/io/folder-lock.ts';

const OLD = join(import.meta.dirname, '..', 'fixtures', 'version-0.1');
const MODEL = join(import.meta.dirname, '..', 'goldens', 'roberta', 'model');
const QUICK = ['--steps', '2', '--estimate-steps', '2', '--batch-size', '4', '--max-length', '24', '--lora-r', '4'];

let dir: string;
let data: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  data = join(dir, 'data.jsonl');
  await cp(join(OLD, 'data.jsonl'), data);
});
afterAll(() => rm(dir, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

async function light(command: string, ...flags: string[]): Promise<{ code: number; said: string }> {
  let said = '';
  for (const stream of [process.stdout, process.stderr])
    vi.spyOn(stream, 'write').mockImplementation((text) => ((said += String(text)), true));
  return { code: await runCommand([command, '--model', MODEL, ...flags]), said };
}

async function refuses(text: string, command: string, ...flags: string[]): Promise<void> {
  const { code, said } = await light(command, ...flags);
  expect(said).toContain(text);
  expect(code).toBe(2);
}

/** Content of every file of a folder, by its name. */
async function contentOf(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder, { recursive: true })).sort();
  const files = await Promise.all(names.map(async (name) => ((await stat(join(folder, name))).isFile() ? [name] : [])));
  const read = async (name: string): Promise<[string, string]> => [name, await readFile(join(folder, name), 'latin1')];
  return Object.fromEntries(await Promise.all(files.flat().map(read)));
}

const train = (out: string, ...more: string[]): string[] => ['--train', data, ...QUICK, '--out', out, ...more];

describe('a folder that holds another result', () => {
  it.each([
    ['train', 'pruned', []],
    ['train', 'estimate', []],
    ['train', 'train-interrupted', []],
    ['train', 'pruned', ['--resume']],
    ['estimate', 'tuned', []],
    ['run', 'pruned', ['--eval', join(OLD, 'eval.jsonl')]],
  ])('%s into %s is refused, and it stays as it is', async (command, holds, more) => {
    const out = join(dir, `${command}-${holds}`);
    await cp(join(OLD, holds), out, { recursive: true });
    const before = await contentOf(out);
    await refuses('--overwrite', command, ...train(out, ...more));
    expect(await contentOf(out)).toEqual(before);
    await rm(out, { recursive: true });
  });

  it.each([
    ['prune', ['--estimate', join(OLD, 'estimate')]],
    ['merge', ['--adapter', join(OLD, 'adapters', 'lora')]],
    ['export', ['--adapter', join(OLD, 'tuned')]],
  ])('%s too, unless it may overwrite', async (command, flags) => {
    const out = join(dir, command);
    expect((await light(command, ...flags, '--out', out)).code).toBe(0);
    const before = await contentOf(out);
    await refuses('--overwrite', command, ...flags, '--out', out);
    expect((await light(command, ...flags, '--out', out, '--overwrite')).code).toBe(0);
    expect(await contentOf(out)).toEqual(before);
  });

  it('the model itself is never the folder', async () => {
    const flags = ['--adapter', join(OLD, 'adapters', 'lora'), '--out', `${MODEL}/../model`, '--overwrite'];
    const before = await contentOf(MODEL);
    await refuses('is the folder of --model', 'merge', ...flags);
    expect(await contentOf(MODEL)).toEqual(before);
  });
});

it('train: starts without a checkpoint, is finished once, and goes on with no other data or settings', async () => {
  const out = join(dir, 'trained');
  const first = await light('train', ...train(out, '--resume'));
  expect(first.code, first.said).toBe(0);
  expect(first.said).toContain('no checkpoint to resume, starting with the first step');
  const before = await contentOf(out);
  expect(Object.keys(before)).not.toContain('.light-peft.lock');

  // The data may lie elsewhere, and be called otherwise.
  const copy = join(dir, 'copy.jsonl');
  await cp(data, copy);
  const again = await light('train', '--train', copy, ...QUICK, '--out', out, '--resume', '--json');
  expect(again.code).toBe(0);
  expect(again.said).toContain('finished already');
  expect(JSON.parse(again.said.slice(again.said.indexOf('{')))).toMatchObject({ steps: 2 });
  expect(await contentOf(out)).toEqual(before);

  await writeFile(copy, (await readFile(data, 'utf8')).replace('"label":0', '"label":1'));
  const other = ['--train', copy, ...QUICK, '--out', out];
  await refuses('the content of --train is not what it was', 'train', ...other, '--resume');
  await refuses('--lr was 0.001, now it is 0.5', 'train', ...train(out, '--resume', '--lr', '0.5'));
  await refuses(
    'the content of --init-adapter',
    'train',
    ...train(out, '--resume', '--init-adapter', join(OLD, 'tuned')),
  );
  await refuses('holds an adapter', 'train', ...train(out));
  expect(await contentOf(out)).toEqual(before);

  expect((await light('train', ...other, '--resume', '--overwrite')).code).toBe(0);
  const { 'identity.json': identity, ...files } = await contentOf(out);
  expect(identity).not.toBe(before['identity.json']);
  expect(Object.keys(files).length).toBe(Object.keys(before).length - 1);
});

it('a folder that another process works in is refused, and a path that is none is told first', async () => {
  const lock = await FolderLock.take(dir);
  await refuses('is at work there', 'train', ...train(dir));
  lock.release();
  await refuses('a part of the path is a file, expected a folder', 'train', ...train(data));
  await refuses('--out: - is standard output', 'train', ...train('-'));
  await refuses('a part of the path is a file', 'predict', '--data', data, '--out', join(data, 'x'));
});
