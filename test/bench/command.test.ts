/** Protects: the real command measures, writes JSON, page and Markdown, names missing peers, and refuses another adapter's figures. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { runBench } from '../../bench/program.ts';
import { Peers } from '../../bench/peers/peer.ts';
import { readDocument } from '../../bench/report/document.ts';

let dir: string;
let printed: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  const take = (text: string | Uint8Array): boolean => {
    printed += String(text);
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(take);
  vi.spyOn(process.stderr, 'write').mockImplementation(take);
});
afterAll(() => rm(dir, { recursive: true }));

it('runs a quick suite, and compares with an earlier run of the same adapter alone', async () => {
  printed = '';
  const [json, markdown] = [join(dir, 'scaling.json'), join(dir, 'results.md')];
  expect(await runBench(['scaling', '--quick', '--repeats', '1', '--out', dir, '--markdown', markdown])).toBe(0);
  const document = await readDocument(json);
  const exponents = document.tables.find((t) => t.title === 'Fitted exponents')!;
  expect(exponents.rows).toHaveLength(5);
  for (const row of exponents.rows) expect(Number.isFinite(row.time)).toBe(true);
  expect(exponents.rows.find((row) => row.name === 'layers')!.expected).toBeCloseTo(1);
  expect(printed).toContain('Fitted exponents');
  expect(printed).toContain(document.meta.adapter);
  expect(await readFile(join(dir, 'scaling.html'), 'utf8')).toContain('<svg');
  expect(await readFile(markdown, 'utf8')).toContain('## scaling:');

  printed = '';
  const other = join(dir, 'other.json');
  await writeFile(other, JSON.stringify({ ...document, meta: { ...document.meta, adapter: 'another adapter' } }));
  expect(await runBench(['scaling', '--quick', '--out', dir, '--against', other])).toBe(2);
  expect(printed).toContain('figures of two adapters are not compared');
}, 180_000);

it.each([
  [['nothing'], 'expected one of kernels'],
  [['scaling', '--repeats', '0'], 'whole number above 0'],
  [['scaling', '--peers', 'nobody'], 'no peer "nobody"'],
  [['light-peft', '--set', 'loraR=none'], 'loraR'],
  [['light-peft', '--set', 'speed=11'], 'speed'],
  [['light-peft', '--set', 'loraR'], 'expected key=value'],
])('refuses %j', async (argv, message) => {
  printed = '';
  expect(await runBench(argv)).toBe(2);
  expect(printed).toContain(message);
});

it('names a peer that is not installed, with the reason', async () => {
  const path = process.env.PATH;
  process.env.PATH = dir;
  try {
    const peers = await Peers.start(['torch']);
    expect(peers.present).toEqual([]);
    expect(peers.missing).toEqual([{ name: 'torch', reason: expect.stringContaining('ENOENT') as string }]);
    await peers.close();
  } finally {
    process.env.PATH = path;
  }
});
