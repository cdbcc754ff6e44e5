/** Protects: JSON files are refused in one line naming file, key, found and expected; writes are all or nothing. */
import { mkdtemp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { UserError } from '../../../engine/errors.ts';
import { exists, readJson, writeAtomically, writeFileAtomic, writeJson } from '../../../engine/io/files.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'files-'));
});
afterAll(() => rm(dir, { recursive: true }));

const schema = z.strictObject({
  layers: z.int().positive(),
  rate: z.number().min(0).lt(1).optional(),
  kind: z.enum(['lora', 'adapter']).optional(),
  items: z.array(z.object({ size: z.number() })).optional(),
  target: z.union([z.string(), z.array(z.string())]).optional(),
});

test.each([
  ['{"layers": 0}', 'key "layers": found 0, expected an integer from 1'],
  ['{"layers": "2"}', 'key "layers": found "2", expected'],
  ['{}', 'key "layers": found nothing, expected'],
  ['{"layers": 1, "rate": 1}', 'key "rate": found 1, expected a number in [0, 1)'],
  ['{"layers": 1, "kind": "dora"}', 'key "kind": found "dora", expected lora or adapter'],
  ['{"layers": 1, "items": [{"size": 1}, {}]}', 'key "items[1].size": found nothing, expected a number'],
  ['{"layers": 1, "target": 5}', 'key "target": found 5, expected a text or a list of texts'],
  ['{"layers": 1, "extra": 1}', 'unknown key "extra"'],
  ['[]', 'found [], expected a mapping'],
  ['{"layers": 1', 'not valid JSON: '],
  ['', 'the file is empty, expected JSON'],
])('%s is refused: %s', async (text, message) => {
  const path = join(dir, 'x.json');
  await writeFile(path, text);
  const error: unknown = await readJson(path, schema).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).message).toContain(`${path}: ${message}`);
  expect((error as UserError).message).not.toContain('\n');
});

test('a missing file and a folder are named', async () => {
  await expect(readJson(join(dir, 'absent.json'), schema)).rejects.toThrow(/absent\.json: no such file or folder/);
  await expect(readJson(dir, schema)).rejects.toThrow(/is a folder, expected a file/);
});

test('what is written is read back, in folders made on the way', async () => {
  const path = join(dir, 'a/b/c.json');
  await writeJson(path, { layers: 3 });
  expect(await readJson(path, schema)).toEqual({ layers: 3 });
  await writeFileAtomic(path, 'second');
  expect(await readFile(path, 'utf8')).toBe('second');
  expect(await readdir(join(dir, 'a/b'))).toEqual(['c.json']);
});

test('what a killed process left goes with the next attempt; what belongs to others stays', async () => {
  const folder = await mkdtemp(join(dir, 'stale-'));
  const stale = [
    '.a.json.99999999-0123456789ab.tmp',
    `.a.json.${process.pid}-0123456789ab.tmp`,
    '.b.json.99999999-0123456789ab.tmp',
  ];
  for (const name of [...stale, '.a.json.tmp']) await writeFile(join(folder, name), 'half');
  await writeJson(join(folder, 'a.json'), { layers: 1 });
  expect((await readdir(folder)).sort()).toEqual(['.a.json.tmp', ...stale.slice(1), 'a.json'].sort());
});

test('a write that cannot finish leaves nothing behind', async () => {
  await mkdir(join(dir, 'taken/inside'), { recursive: true });
  await expect(writeFileAtomic(join(dir, 'taken'), 'x')).rejects.toThrow(UserError);
  await writeFile(join(dir, 'file'), 'x');
  await expect(writeFileAtomic(join(dir, 'file/child'), 'x')).rejects.toThrow(
    /file\/child: .*(expected a folder|EEXIST)/,
  );
  expect((await readdir(dir)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});

test('a file in the place of a folder is named, not a code', async () => {
  await writeFile(join(dir, 'file'), '');
  await expect(writeFileAtomic(join(dir, 'file', 'x'), '')).rejects.toThrow('a part of the path is a file');
});

test('a write that fails leaves none of the folders it made', async () => {
  const write = (): Promise<void> => Promise.reject(new Error('no more values'));
  const outer = join(dir, 'outer');
  await expect(writeAtomically([{ path: join(outer, 'inner', 'x.json'), write }])).rejects.toThrow('no more values');
  expect(await exists(outer)).toBe(false);
});
