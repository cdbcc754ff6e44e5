/** Protects: `compare` reads runs with the options that their folders tell, and says in one line what it cannot read. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from './command.ts';

const RUN = join('test', 'fixtures', 'version-0.1', 'run');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'compare-'));
});
afterAll(() => rm(dir, { recursive: true }));

it('writes a page and both tables', async () => {
  const out = join(dir, 'out');
  expect(await run(0, 'compare', RUN, RUN, '--out', out)).toBe(`6 runs\n${join(out, 'comparison.html')}\n`);
  expect((await readdir(out)).sort()).toEqual(['comparison.html', 'runs.csv', 'runs.parquet']);
  const csv = await readFile(join(out, 'runs.csv'), 'utf8');
  expect(csv.split('\r\n')).toHaveLength(8);
  expect(csv).toMatch(/,light-peft,"lora, Light-PEFT",0\.\d+,0\.\d+,0\.\d+,0\.\d+,\d+,0\.\d+,\d+,accuracy,/);
});

it('refuses a folder without runs, and leaves nothing', async () => {
  const out = join(dir, 'none');
  const said = await run(2, 'compare', join('examples', 'data'), '--out', out);
  expect(said).toMatch(/^light-peft: examples\/data: found no runs, expected a folder of `run` \(comparison\.json\), .*\n$/);
  await expect(readdir(out)).rejects.toThrow();
}); // prettier-ignore
