/** Protects: the command of an audit: options from flags and files, and what is wrong with them in one line before any work. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from './command.ts';

const MODEL = join(import.meta.dirname, '..', '..', 'checkpoints', 'light-roberta');
const CONFIG = join(import.meta.dirname, '..', '..', 'bench', 'audit.yaml');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'audit-cli-'));
});
afterAll(() => rm(dir, { recursive: true }));

const audit = (...flags: string[]): Promise<string> =>
  run(2, 'audit', '--model', MODEL, '--config', CONFIG, '--out', join(dir, 'out'), ...flags);

it.each([
  [['--strategies', 'sum,magic'], /^light-peft: --strategies: 1: found "magic", expected clean, sum, pcgrad, /],
  [['--seeds', '0,-1'], /^light-peft: --seeds: 1: found -1, /],
  [['--planted-share', '1'], /^light-peft: --planted-share: found 1, expected a number between 0 and 1/],
  [['--alpha-clnorm', '0'], /^light-peft: --alpha-clnorm: found 0, expected /],
  [['--false-alarms', 'few'], /^light-peft: --false-alarms: found "few", expected /],
  [['--plant-on', 'mail'], /^light-peft: --plant-on: found "mail", expected one of amazon, imdb, yelp/],
  [['--user-eval', 'a.jsonl'], /^light-peft: --user-eval: needs --user-train/],
  [['--triggers', 'cf,two words'], /^light-peft: --triggers: found "two words", expected single words/],
  [['--trigger-count', '60'], /^light-peft: \w+: text \d+: --max-length 64 leaves no room for 60 triggers/],
  [['--target', 'neutral'], /^light-peft: --target: found "neutral", expected one of negative, positive/],
])('refuses %j in one line, and leaves nothing', async (flags, pattern) => {
  const said = (await audit(...flags)).split('\n').filter((line) => line.startsWith('light-peft:'));
  expect(said).toHaveLength(1);
  expect(said[0]).toMatch(pattern);
  expect(await readdir(dir)).not.toContain('out');
});

it('names the file of a wrong option', async () => {
  const config = join(dir, 'wrong.yaml');
  await writeFile(config, 'strategy: sum\n');
  const said = await run(2, 'audit', '--model', MODEL, '--config', config, '--out', join(dir, 'out'));
  expect(said).toMatch(/wrong\.yaml: key "strategy": not a setting, did you mean "strategies"\?/);
});

it("takes the paper's numbers with --full, over those of the file and under those of flags", async () => {
  const out = join(dir, 'full');
  const little = [
    '--texts',
    '8',
    '--test-texts',
    '4',
    '--plant-epochs',
    '1',
    '--user-epochs',
    '1',
    '--max-length',
    '16',
  ];
  const one = ['--strategies', 'clean', '--forms', 'parallel', '--seeds', '0'];
  await run(0, 'audit', '--model', MODEL, '--config', CONFIG, '--full', ...little, ...one, '--out', out);
  const { options } = JSON.parse(await readFile(join(out, 'audit.json'), 'utf8')) as { options: object };
  expect(options).toMatchObject({ texts: 8, plantEpochs: 1, maxLength: 16 });
  expect(options).toMatchObject({ moreEpochs: 10, alphaClnorm: 1e-4, lr: 2e-5, batchSize: 32 });
  expect(options).toMatchObject({ adapterSize: 16, estimateSteps: 64 });
});
