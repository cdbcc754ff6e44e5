/**
 * Protects: the cache is the one that Python's `huggingface_hub` writes, file by file and link by link, and one that it wrote is read.
 * `test/goldens/hub/layout.py` wrote the list of what Python leaves.
 */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { snapshotDownload } from '../../../models/hub/snapshot.ts';
import { FakeHub } from './fake-hub.ts';
import { TINY, WEIGHTS } from './tiny-repo.ts';

/** A link, a small text, or a file whose name tells the content. */
type Entry = Readonly<Partial<Record<'link' | 'text', string>>>;

const PYTHON = JSON.parse(readFileSync(join(import.meta.dirname, '../../goldens/hub/layout.json'), 'utf8')) as Readonly<
  Record<string, Entry>
>;

let cacheDir: string;

beforeEach(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), 'hub-'));
});

afterEach(() => rm(cacheDir, { recursive: true, force: true }));

function entryOf(path: string): Entry {
  const full = join(cacheDir, path);
  if (lstatSync(full).isSymbolicLink()) return { link: readlinkSync(full) };
  return /\/(refs|trees)\//.test(path) ? { text: readFileSync(full, 'utf8') } : {};
}

it('what is written is what Python writes', async () => {
  const hub = await FakeHub.start();
  hub.add('models', 'ann/tiny', TINY);
  await snapshotDownload('ann/tiny', { endpoint: hub.endpoint, token: false, cacheDir });
  await hub.stop();
  const paths = (readdirSync(cacheDir, { recursive: true }) as string[]).filter(
    (path) => !lstatSync(join(cacheDir, path)).isDirectory(),
  );
  expect(Object.fromEntries(paths.map((path) => [path, entryOf(path)]))).toEqual(PYTHON);
});

it('what Python wrote is read without the hub', async () => {
  const contents = Object.values(TINY).map((content) => Buffer.from(content));
  const hashes = (content: Buffer): string[] => [
    createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex'),
    createHash('sha256').update(content).digest('hex'),
  ];
  for (const [path, { link, text }] of Object.entries(PYTHON)) {
    const full = join(cacheDir, path);
    mkdirSync(dirname(full), { recursive: true });
    const blob = contents.find((content) => hashes(content).some((hash) => path.endsWith(`/blobs/${hash}`)));
    if (link !== undefined) symlinkSync(link, full);
    else writeFileSync(full, text ?? blob ?? '');
  }
  const folder = await snapshotDownload('ann/tiny', { endpoint: 'http://127.0.0.1:1', cacheDir, localFilesOnly: true });
  expect(readFileSync(join(folder, 'onnx', 'model.txt'), 'utf8')).toBe('x');
  expect(WEIGHTS.equals(readFileSync(join(folder, 'model.safetensors')))).toBe(true);
});
