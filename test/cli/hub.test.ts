/** Protects: commands take names on the hub where they take folders, say what is wrong in one line, and write a result alone to standard output. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { FakeHub } from '../models/hub/fake-hub.ts';
import { run } from './command.ts';

let hub: FakeHub;
let home: string;

beforeEach(async () => {
  hub = await FakeHub.start();
  home = await mkdtemp(join(tmpdir(), 'hub-'));
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  vi.stubEnv('HF_HOME', home);
  for (const name of ['HF_TOKEN', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_HUB_OFFLINE'])
    vi.stubEnv(name, undefined);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.stop();
  await rm(home, { recursive: true, force: true });
});

const GOLDENS = join(import.meta.dirname, '../goldens/roberta');

/** Puts a folder on the hub. */
function share(name: string, folder: string, others: Readonly<Record<string, string>> = {}): string {
  const files = readdirSync(folder).map((file) => [file, readFileSync(join(folder, file))] as const);
  return hub.add('models', name, { ...Object.fromEntries(files), ...others });
}

it('merge takes both from the hub, and again from the cache without it', async () => {
  share('ann/tiny', join(GOLDENS, 'model'));
  share('ann/lora', join(GOLDENS, 'adapter-final'), { 'README.md': 'not read' });
  const merge = (out: string): Promise<string> =>
    run(0, 'merge', '--model', 'ann/tiny', '--adapter', 'ann/lora', '--out', join(home, out));
  expect(await merge('a')).toMatch(/^ann\/tiny: 109 kB of 109 kB downloaded\nann\/lora: 24 kB of 24 kB downloaded\n/);
  vi.stubEnv('HF_HUB_OFFLINE', '1');
  hub.requests.length = 0;
  expect(await merge('b')).not.toMatch(/downloaded/);
  expect(hub.requests).toEqual([]);
  const weights = (out: string): Buffer => readFileSync(join(home, out, 'model.safetensors'));
  expect(weights('a').equals(weights('b'))).toBe(true);
});

it('a command’s standard output is its result alone', async () => {
  share('ann/tiny', join(GOLDENS, 'model'));
  hub.add('datasets', 'ann/rows', {
    'train.jsonl': '{"ids":[0,5,6,2],"class":"a"}\n{"ids":[0,8,2],"class":"b"}\n',
    'test.jsonl': '{"ids":[0,5,6,2],"class":"a"}\n{"ids":[0,7,2],"class":"b"}\n',
  });
  const data = ['--dataset', 'ann/rows', '--columns', 'input_ids=ids,label=class'];
  const out = await run(
    0,
    'train',
    '--model',
    'ann/tiny',
    ...data,
    '--steps',
    '1',
    '--batch-size',
    '1',
    '--json',
    '--out',
    join(home, 'out'),
  );
  const [, shown, json] = /^([^{]*)(\{[^]*\})\n$/.exec(out)!;
  expect(shown).toMatch(/ann\/rows: 2 training \+ 2 evaluation examples/);
  expect(JSON.parse(json!)).toMatchObject({ data: 'ann/rows', steps: 1 });
  const config = JSON.parse(readFileSync(join(home, 'out', 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
  expect(config.base_model_name_or_path).toBe('ann/tiny');
  const evaluated = await run(
    0,
    'eval',
    '--model',
    'ann/tiny',
    '--adapter',
    join(home, 'out'),
    ...data,
    '--dataset-split',
    'train',
    '--json',
  );
  expect(JSON.parse(/\{[^]*\}/.exec(evaluated)![0])).toMatchObject({ examples: 2 });
});

it.each([
  [['--model', 'ann/none'], /^light-peft: ann\/none: no such model on http:\S+; if it is private, give a token/],
  [['--model', 'ann/tiny', '--revision', 'v9'], /^light-peft: ann\/tiny: no revision "v9" on/],
  [['--model', 'ann/bin'], /^light-peft: ann\/bin: only PyTorch weights .*convert with/],
  [['--model', 'ann/tiny', '--adapter', 'ann/tiny'], /^light-peft: ann\/tiny: no file "adapter_config.json"/],
  [
    ['--model', 'ann/tiny', '--dataset', 'ann/rows', '--dataset-split', 'x'],
    /^light-peft: ann\/rows: no split "x"; there are train\n$/,
  ],
  [['--model', 'ann/tiny', '--dataset', 'ann/rows', '--data', 'x.csv'], /--dataset and --eval: give one of them\n$/],
  [['--model', 'ann/tiny', '--task', 'glue/sst2'], /^light-peft: nyu-mll\/glue: no such dataset on/],
])('%j is refused in one line, and the cache has nothing half-written', async (args, message) => {
  hub.add('models', 'ann/tiny', { 'config.json': '{}', 'model.safetensors': 'x' });
  hub.add('models', 'ann/bin', { 'config.json': '{}', 'pytorch_model.bin': 'x' });
  hub.add('datasets', 'ann/rows', { 'train.jsonl': '{}' });
  const said = (await run(2, 'eval', ...args)).replace(/^.*downloaded\n/gm, '');
  expect(said).toMatch(message);
  expect(said.trim()).not.toMatch(/\n/);
  const all = readdirSync(home, { recursive: true }) as string[];
  expect(all.filter((path) => /incomplete|\.tmp/.test(path))).toEqual([]);
});

it('push sends an adapter with a card that says how it is loaded', async () => {
  hub.token = 'hf_x';
  const dir = join(home, 'lora');
  await cp(join(GOLDENS, 'adapter-final'), dir, { recursive: true });
  await mkdir(join(dir, 'checkpoints'));
  writeFileSync(
    join(dir, 'labels.json'),
    JSON.stringify({ format: 'light-peft/labels', version: 1, labels: ['no', 'yes'] }),
  );
  expect(await run(2, 'push', dir, 'ann/lora', '--base', 'ann/tiny')).toMatch(
    /^light-peft: ann\/lora: no token: .*HF_TOKEN/,
  );
  vi.stubEnv('HF_TOKEN', 'hf_x');
  expect(await run(2, 'push', dir, 'ann/lora')).toMatch(/names no base model; give its name on the hub with --base/);
  expect(hub.repos.size).toBe(0);
  expect(await run(0, 'push', dir, 'ann/lora', '--base', 'ann/tiny', '--private')).toMatch(
    /4 files: http.*\/ann\/lora\/commit\//,
  );
  const { refs, commits } = hub.repos.get('models/ann/lora')!;
  const files = commits.get(refs.get('main')!)!;
  expect([...files.keys()].sort()).toEqual([
    'README.md',
    'adapter_config.json',
    'adapter_model.safetensors',
    'labels.json',
  ]);
  expect(JSON.parse(files.get('adapter_config.json')!.content.toString())).toMatchObject({
    base_model_name_or_path: 'ann/tiny',
  });
  const card = files.get('README.md')!.content.toString();
  expect(card).toMatch(/^---\nbase_model: ann\/tiny\nlibrary_name: peft\n/);
  expect(card).toContain('AutoModelForSequenceClassification.from_pretrained("ann/tiny", num_labels=2)');
  expect(card).toContain('PeftModel.from_pretrained(base, "ann/lora")');
  expect(existsSync(join(dir, 'README.md'))).toBe(false);
});
