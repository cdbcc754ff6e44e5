/** Protects: bad input gets one line that names file, key and what was expected, exit code 2, and nothing half-written. */
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { runCommand } from '../../cli/program.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens', 'roberta');
const MODEL = join(GOLDENS, 'model');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  await write('good.jsonl', [0, 1, 2, 0].map((label) => JSON.stringify({ input_ids: [0, 5, 6, 2], label })).join('\n'));
});
afterAll(() => rm(dir, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

function write(name: string, content: string): Promise<void> {
  return writeFile(join(dir, name), content);
}

/** A copy of the model with one file changed. */
async function brokenModel(name: string, change: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(dir, name);
  await cp(MODEL, folder, { recursive: true });
  await change(folder);
  return folder;
}

async function run(...argv: string[]): Promise<{ code: number; message: string }> {
  const lines: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation(() => true);
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    lines.push(String(text));
    return true;
  });
  const code = await runCommand(argv);
  const own = lines.filter((line) => line.startsWith('light-peft: '));
  expect(own, lines.join('')).toHaveLength(1);
  expect(own[0]!.trimEnd().split('\n')).toHaveLength(1);
  return { code, message: own[0]! };
}

async function refuses(pattern: RegExp, ...argv: string[]): Promise<void> {
  const out = join(dir, 'out');
  const { code, message } = await run(...argv, ...(argv.includes('--out') ? [] : ['--out', out]));
  expect(message).toMatch(pattern);
  expect(code).toBe(2);
  await expect(readdir(out)).rejects.toThrow(/ENOENT/);
}

const predict = (model: string, data: string): string[] => ['predict', '--model', model, '--data', join(dir, data)];
const train = (data: string, ...more: string[]): string[] => [
  'train',
  '--model',
  MODEL,
  '--train',
  join(dir, data),
  ...more,
];

describe('models', () => {
  it('a folder that is not there', () =>
    refuses(/nowhere.*config\.json/, ...predict(join(dir, 'nowhere'), 'good.jsonl')));
  it('truncated weights', async () => {
    const folder = await brokenModel('truncated', (f) => truncate(join(f, 'model.safetensors'), 90000));
    await refuses(/truncated.*model\.safetensors/, ...predict(folder, 'good.jsonl'));
  });
  it('a header that lies about offsets', async () => {
    const folder = await brokenModel('lying', async (f) => {
      const path = join(f, 'model.safetensors');
      const bytes = await readFile(path);
      const at = bytes.indexOf('"data_offsets":[0,');
      bytes.write('9', at + '"data_offsets":['.length);
      await writeFile(path, bytes);
    });
    await refuses(/lying.*model\.safetensors/, ...predict(folder, 'good.jsonl'));
  });
  it('an unknown model type', async () => {
    const folder = await brokenModel('unknown', async (f) => {
      const config = JSON.parse(await readFile(join(f, 'config.json'), 'utf8')) as object;
      await writeFile(join(f, 'config.json'), JSON.stringify({ ...config, model_type: 'mamba' }));
    });
    await refuses(/config\.json.*model_type.*mamba.*bert, distilbert/, ...predict(folder, 'good.jsonl'));
  });
  it('a head that is not supported', async () => {
    const folder = await brokenModel('tokens', async (f) => {
      const config = JSON.parse(await readFile(join(f, 'config.json'), 'utf8')) as object;
      await writeFile(
        join(f, 'config.json'),
        JSON.stringify({ ...config, architectures: ['RobertaForTokenClassification'] }),
      );
    });
    await refuses(/config\.json.*RobertaForTokenClassification.*masked-lm/, ...predict(folder, 'good.jsonl'));
  });
  it('weights of another shape than config.json says', async () => {
    const folder = await brokenModel('shape', async (f) => {
      const config = JSON.parse(await readFile(join(f, 'config.json'), 'utf8')) as object;
      await writeFile(join(f, 'config.json'), JSON.stringify({ ...config, intermediate_size: 60 }));
    });
    await refuses(/shape.*intermediate\.dense.*\[64, 32\].*\[60, 32\]/, ...predict(folder, 'good.jsonl'));
  });
  it('text without a tokenizer', async () => {
    await write('text.jsonl', '{"text": "hello", "label": 0}');
    await refuses(/tokenizer\.json/, ...predict(MODEL, 'text.jsonl'));
  });
});

describe('data', () => {
  it.each([
    ['an empty file', '', /bad\.jsonl: empty/],
    ['a line that is not JSON', '{"text"', /bad\.jsonl:1: not JSON/],
    ['a missing label', '{"input_ids":[0,2]}', /bad\.jsonl:1.*label/],
    [
      'an id outside the vocabulary',
      '{"input_ids":[0,900],"label":0}\n{"input_ids":[0],"label":1}',
      /bad\.jsonl:1.*900.*200/,
    ],
  ])('%s', async (_, content, pattern) => {
    await write('bad.jsonl', content);
    await refuses(pattern, ...train('bad.jsonl'));
  });
  it('a label the classes of the adapter do not have', async () => {
    await write('label.jsonl', '{"input_ids":[0,5,2],"label":7}');
    const adapter = join(GOLDENS, 'adapter-init');
    await refuses(/label\.jsonl:1.*7.*0 to 2/, ...train('label.jsonl', '--init-adapter', adapter));
  });
});

describe('settings', () => {
  it.each([
    ['a ratio outside [0, 1)', ['--heads-ratio', '1'], /--heads-ratio.*1.*expected a number in \[0, 1\)/],
    ['a number that is none', ['--lr', 'fast'], /--lr.*"fast".*number/],
    ['an unknown choice', ['--schedule', 'cubic'], /--schedule.*cubic.*constant/],
    ['an unknown option', ['--learning-rate', '1'], /unknown option '--learning-rate'/],
    [
      'two that exclude each other',
      ['--peft', 'houlsby', '--adapter-size', '4', '--reduction-factor', '2'],
      /--adapter-size and --reduction-factor: give one of them/,
    ],
    [
      'a layer that is not there',
      ['--layers-to-transform', '0,9'],
      /--layers-to-transform: found "0,9", expected numbers from 0 to/,
    ],
    [
      'a least number of steps above the most',
      ['--estimate-until', 'stable', '--estimate-min-steps', '80'],
      /--estimate-min-steps: found 80 steps, expected at most the 64 of --estimate-steps/,
    ],
    [
      'a window longer than the most steps',
      ['--estimate-until', 'stable', '--estimate-steps', '20', '--estimate-window', '21'],
      /--estimate-window: found 21 steps, expected at most the 20 of --estimate-steps/,
    ],
    [
      'windows that the steps do not hold',
      ['--estimate-until', 'stable', '--estimate-steps', '20', '--estimate-window', '8'],
      /--estimate-steps: found 20, expected at least 40: 5 windows of 8 steps/,
    ],
    [
      'a threshold outside (0, 1)',
      ['--estimate-until', 'stable', '--estimate-threshold', '1'],
      /--estimate-threshold: found 1, expected a number between 0 and 1/,
    ],
    [
      'options of a stable end without it',
      ['--estimate-queue', '3'],
      /--estimate-queue: found --estimate-until fixed, expected stable/,
    ],
    ['a target that matches nothing', ['--target-modules', 'q_proj'], /q_proj/],
  ])('%s', (_, flags, pattern) => refuses(pattern, ...train('good.jsonl', ...flags)));
  it('an unknown key of a configuration file', async () => {
    await write('run.yaml', 'lora-rank: 8');
    await refuses(/run\.yaml.*lora-rank/, ...train('good.jsonl', '--config', join(dir, 'run.yaml')));
  });
});

describe('adapters and plans', () => {
  it('a plan for another base is refused with both fingerprints', async () => {
    const estimate = join(dir, 'estimate');
    const flags = ['--init-adapter', join(GOLDENS, 'adapter-init'), '--steps', '2', '--batch-size', '4'];
    vi.spyOn(process.stdout, 'write').mockImplementation(() => true);
    vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
    expect(
      await runCommand(['estimate', '--model', MODEL, '--train', join(dir, 'good.jsonl'), '--out', estimate, ...flags]),
    ).toBe(0);
    const pruned = join(dir, 'pruned');
    expect(await runCommand(['prune', '--model', MODEL, '--estimate', estimate, '--out', pruned])).toBe(0);
    const other = join(GOLDENS, '..', 'bert', 'model');
    const fingerprint = (
      JSON.parse(await readFile(join(pruned, 'plan.json'), 'utf8')) as { base: { fingerprint: string } }
    ).base.fingerprint;
    const { code, message } = await run(
      ...predict(other, 'good.jsonl'),
      '--adapter',
      pruned,
      '--out',
      join(dir, 'p.jsonl'),
    );
    expect(code).toBe(2);
    expect(message).toContain(fingerprint);
    const plan = await readFile(join(pruned, 'plan.json'), 'utf8');
    await writeFile(join(pruned, 'plan.json'), plan.replace('"version": 2', '"version": 9'));
    const unknown = await run(...predict(MODEL, 'good.jsonl'), '--adapter', pruned, '--out', join(dir, 'p.jsonl'));
    expect(unknown.message).toMatch(/plan\.json.*version.*9.*2/);
    expect(await readdir(dir)).not.toContain('p.jsonl');
  });
  it.each([
    [{ use_qalora: true }, /adapter_config\.json.*use_qalora/],
    [{ task_type: 'TOKEN_CLS' }, /task_type.*TOKEN_CLS.*SEQ_CLS/],
  ])('an adapter of a kind that is not supported: %j', async (change, pattern) => {
    const other = join(dir, 'other');
    await cp(join(GOLDENS, 'adapter-init'), other, { recursive: true });
    const config = JSON.parse(await readFile(join(other, 'adapter_config.json'), 'utf8')) as object;
    await writeFile(join(other, 'adapter_config.json'), JSON.stringify({ ...config, ...change }));
    await refuses(pattern, ...predict(MODEL, 'good.jsonl'), '--adapter', other);
  });
});
