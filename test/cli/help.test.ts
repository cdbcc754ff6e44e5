/** Protects: help fits the terminal and shows what is common first, names that are not known bring the nearest, `--config` holds any flag. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { collect, ConfigurableCommand } from '../../cli/config-file.ts';
import { addSettings, readSettings } from '../../cli/options.ts';
import { runCommand } from '../../cli/program.ts';
import { SETTINGS } from '../../experiments/settings.ts';
import { nearest } from '../../engine/nearest.ts';

const COMMANDS = [
  'run',
  'estimate',
  'prune',
  'train',
  'eval',
  'predict',
  'score',
  'generate',
  'pretrain',
  'merge',
  'export',
];

let out = '';
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));
beforeEach(() => {
  out = '';
  const write = (text: string | Uint8Array): boolean => (out += String(text)).length > 0;
  const spies = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, 'write').mockImplementation(write));
  return () => spies.forEach((spy) => spy.mockRestore());
});

async function said(...argv: string[]): Promise<string> {
  out = '';
  await runCommand(argv);
  return out;
}

describe.each(COMMANDS)('%s --help', (command) => {
  it.each([80, 60, 100])('fits %d columns', async (width) => {
    vi.stubEnv('COLUMNS', String(width));
    for (const flag of ['--help', '--help-all']) {
      const lines = (await said(command, flag)).split('\n');
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
    }
    vi.unstubAllEnvs();
  });
});

it('help is short, and all of it in groups', async () => {
  const [short, all] = [await said('run', '--help'), await said('run', '--help-all')];
  expect(short.split('\n').length).toBeLessThan(66);
  for (const flag of ['--lora-r', '--lr', '--heads-ratio', '--config', '--help-all'])
    expect(short).toContain(` ${flag} `);
  for (const flag of ['--head-unit', '--adapter-init', '--profile']) {
    expect(short).not.toContain(flag);
    expect(all).toContain(` ${flag} `);
  }
  for (const { long } of addSettings(new Command()).options) expect(all).toContain(` ${long}`);
  for (const group of ['PEFT method:', 'Training:', 'Pruning:']) expect(all).toContain(`\n${group}\n`);
});

it('help of a stage leaves out the settings of the others', async () => {
  const text = await said('prune', '--help');
  expect(text).toContain('--rank-ratio');
  expect(text).not.toMatch(/--lora-r |--lr |--epochs/);
});

it.each([
  [['train', '--lora-rr', '8'], "unknown option '--lora-rr', did you mean --lora-r?"],
  [['train', '--lora_r', '8'], "unknown option '--lora_r', did you mean --lora-r?"],
  [['run', '--head-unti=query'], "unknown option '--head-unti', did you mean --head-unit?"],
  [['train', '--maxGradNorm', '1'], "unknown option '--maxGradNorm', did you mean --clip?"],
  [['train', '--frobnicate'], "unknown option '--frobnicate'"],
  [['trian'], "unknown command 'trian', did you mean train?"],
])('%j is told the nearest in one line', async (argv, text) => {
  expect(await said(...argv)).toBe(`light-peft: ${text}\n`);
});

it('pretraining has sizes of its own, and is told of them by their flags', async () => {
  expect(await said('pretrain', '--help')).toMatch(/--heads <n> .*--neurons <n> .*--lr <n>/s);
  expect(await said('pretrain', '--out', join(dir, 'p'), '--heads', '0')).toBe(
    'light-peft: --heads: found 0, expected an integer from 1\n',
  );
  expect(await said('prune', '--heads-ratio', '2', '--model', 'm', '--estimate', 'e', '--out', 'o')).toMatch(
    /^light-peft: --heads-ratio: found 2, expected a number in \[0, 1\)/,
  );
});

it('nearest finds mistyped names, and none where none is near', () => {
  const keys = [...SETTINGS.keys()];
  for (const key of keys.filter((k) => k.length > 4)) {
    expect(nearest(key.slice(0, 2) + key[3]! + key[2]! + key.slice(4), keys)).toBe(key);
    expect(nearest(key.slice(0, -1), [key, 'somethingElse'])).toBe(key);
  }
  expect(nearest('frobnicate', keys)).toBeUndefined();
});

describe('--config', () => {
  /** Flags that a command reads from a file, with others before and after `--config`. */
  async function flagsOf(text: string, ...argv: string[]): Promise<Record<string, unknown>> {
    const path = join(dir, 'all.yaml');
    await writeFile(path, text);
    const program = new ConfigurableCommand('light-peft').exitOverride();
    let found: Record<string, unknown> = {};
    const command = program
      .command('run')
      .requiredOption('--model <dir>', 'base')
      .option('--methods <list>', 'methods', 'reference')
      .option('--seeds <list>', 'seeds')
      .option('--eval, --data <file>', 'data')
      .option('--top-k <n>', 'number', Number)
      .option('--adapter <dir>', 'again', collect, [])
      .option('--json', 'as JSON');
    addSettings(command).action((flags: Record<string, unknown>) => void (found = flags));
    await program.parseAsync(['run', ...argv.map((arg) => (arg === 'FILE' ? path : arg))], { from: 'user' });
    return found;
  }

  it('holds the flags of a command as natural YAML', async () => {
    const text = `model: base
methods: [light-peft, random]
seeds: [0, 1]
eval: a.jsonl
top-k: 5
adapter: {a: out/a, b: out/b}
json: yes
lora-r: 4`;
    const flags = await flagsOf(text, '--config', 'FILE');
    expect(flags).toMatchObject({
      model: 'base',
      methods: 'light-peft,random',
      seeds: '0,1',
      data: 'a.jsonl',
      topK: 5,
      adapter: ['a=out/a', 'b=out/b'],
      json: true,
    });
    expect((await readSettings(flags)).peft.r).toBe(4);
    expect(await flagsOf('model: base\nseeds: 3\nadapter: [x, y]', '--config', 'FILE')).toMatchObject({
      seeds: '3',
      adapter: ['x', 'y'],
    });
  });

  it('gives way to flags, wherever they stand', async () => {
    const text = 'model: base\nseeds: [0, 1]\nadapter: [x, y]\nlora-r: 4';
    const flags = ['--seeds', '7', '--adapter', 'z', '--lora-r', '2'];
    for (const argv of [
      ['--config', 'FILE', ...flags],
      [...flags, '--config', 'FILE'],
    ]) {
      const found = await flagsOf(text, ...argv);
      expect(found).toMatchObject({ model: 'base', seeds: '7', adapter: ['z'] });
      expect((await readSettings(found)).peft.r).toBe(2);
    }
  });

  it.each([
    ['model: base\ntop-k: [1, 2]', 'key "top-k": found [1,2], expected one value'],
    ['model: base\njson: maybe', 'key "json": found "maybe", expected true or false'],
    ['model: [[1]]', 'key "model": found [1], expected a text or a number'],
    ['model: base\nmethodes: all', 'key "methodes": not a setting, did you mean "methods"?'],
    ['model: base\nconfig: b.yaml', 'key "config": not a setting'],
  ])('refuses %j', async (text, expected) => {
    await expect(flagsOf(text, '--config', 'FILE')).rejects.toThrow(expected);
  });
});
