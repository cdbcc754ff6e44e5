/** Protects: `light-peft sweep` as a command: what it leaves, that it never does a thing twice, and that it can be stopped anywhere. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { exists } from '../../engine/io/files.ts';
import { readSweep } from '../../report/sweep/write.ts';
import { begin, type Life } from './life.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const SMALL = { 'batch-size': 4, 'max-length': 16, 'max-train-examples': 48, 'max-eval-examples': 24 };
const BASE = { model: 'base', task: 'sentiment', steps: 8, 'estimate-steps': 4, methods: 'light-peft', ...SMALL };

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-sweep-'));
  await cp(join(ROOT, 'checkpoints', 'light-roberta'), join(dir, 'base'), { recursive: true });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function specOf(name: string, given: object): Promise<string> {
  const file = `${name}.yaml`;
  await writeFile(join(dir, file), stringify({ base: BASE, metric: 'accuracy', direction: 'maximize', ...given }));
  return file;
}

async function light(code: number, ...argv: string[]): Promise<string> {
  const { code: found, out, said } = await begin(dir, argv).ended;
  expect(found, said).toBe(code);
  return out + said;
}

const linesOf = async (path: string): Promise<string[]> =>
  (await readFile(join(dir, path), 'utf8').catch(() => '')).split('\n').slice(0, -1);

describe('a sweep of four trials', () => {
  let file: string;
  let said: string;
  beforeAll(async () => {
    file = await specOf('four', { grid: { 'heads-ratio': [0.25, 0.5], seed: [0, 1] } });
    said = await light(0, 'sweep', file, '--out', 'four', '--workers', '2');
  });

  it('leaves a line and a folder a trial, a page, and tables', async () => {
    const lines = (await linesOf('four/trials.jsonl')).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toHaveLength(4);
    for (const { id, state, config, metrics, seconds, device, error } of lines) {
      expect({ state, error }).toEqual({ state: 'done', error: null });
      expect(config).toMatchObject({ 'eval-split': 'validation', methods: 'light-peft' });
      expect(metrics).toMatchObject({ accuracy: expect.any(Number) as number });
      expect(seconds).toBeGreaterThan(0);
      expect(device).toMatchObject({ software: expect.any(Boolean) as boolean });
      expect(await exists(join(dir, 'four/trials', String(id), 'report.html'))).toBe(true);
    }
    expect(await readdir(join(dir, 'four/estimates'))).toHaveLength(2);
    const page = await readFile(join(dir, 'four/report.html'), 'utf8');
    expect(page).toContain(`trials/${String(lines[0]!.id)}/report.html`);
    for (const name of ['trials.csv', 'trials.json']) expect(await exists(join(dir, 'four', name))).toBe(true);
    expect(said).toContain('4 of 4');
  });

  it('runs nothing again, and adds trials to those that are there', async () => {
    expect(await light(0, 'sweep', file, '--out', 'four')).not.toContain('begins');
    const more = await specOf('more', { grid: { 'heads-ratio': [0.25, 0.5, 0.75], seed: [0, 1] } });
    const again = await light(0, 'sweep', more, '--out', 'four');
    expect(again.match(/trial \w+ begins/g)).toHaveLength(2);
    expect(again).not.toMatch(/estimate \w+ begins/);
  });

  it('shows how it stands, and evaluates the best on the test split alone', async () => {
    expect(await light(0, 'sweep', 'status', 'four')).toContain('6 trials, 6 done');
    await light(0, 'sweep', 'final', 'four');
    const { final } = await readSweep(join(dir, 'four'));
    expect(final!.split).toBe('sentiment, test');
    expect(final!.trials).toHaveLength(2);
    for (const { metrics } of final!.trials) expect(metrics.count).toBe(24);
    // The test split is read once for each trial.
    expect(await light(0, 'sweep', 'final', 'four')).not.toMatch(/^trial /m);
  });
});

it('says what it would do, and how long it takes', async () => {
  const file = await specOf('dry', {
    grid: { methods: ['reference', 'light-peft', 'random'], 'heads-ratio': [0.25, 0.5] },
  });
  const said = await light(0, 'sweep', file, '--dry-run');
  expect(said).toContain('5 trials of run, one base');
  expect(said).toContain('1 estimations, made once each, serve 4 trials');
  expect(said).toContain('1 configurations are left out');
  expect(said).toMatch(/A step takes [\d.]+ s: all of it about .+ with one worker/);
});

it('goes on where it was stopped, with the same numbers', async () => {
  const file = await specOf('long', { base: { ...BASE, steps: 12, 'save-every': 2 }, grid: { seed: [0, 1] } });
  await light(0, 'sweep', file, '--out', 'whole');
  const life: Life = begin(dir, ['sweep', file, '--out', 'stopped']);
  const isUnderWay = async (): Promise<boolean> =>
    (await readdir(join(dir, 'stopped'), { recursive: true }).catch((): string[] => [])).some((name) =>
      /trials.*checkpoint\.safetensors$/.test(name),
    );
  while (!(await isUnderWay()) && life.child.exitCode === null) await setTimeout(20);
  await light(0, 'sweep', 'stop', 'stopped');
  const { code, said } = await life.ended;
  expect(code, said).toBe(143);
  const before = await linesOf('stopped/trials.jsonl');
  expect(before.length).toBeLessThan(2);
  await light(0, 'sweep', 'resume', 'stopped');
  const figures = async (out: string): Promise<unknown[]> =>
    (await readSweep(join(dir, out))).trials.map(({ id, metrics: { accuracy, f1, loss } }) => ({
      id,
      accuracy,
      f1,
      loss,
    }));
  expect(await figures('stopped')).toEqual(await figures('whole'));
});

it('stops weak trials, whose checkpoints go', async () => {
  const file = await specOf('asha', {
    grid: { lr: [1e-3, 1e-2, 1] },
    metric: 'loss',
    direction: 'minimize',
    scheduler: { name: 'asha', 'min-steps': 4, 'reduction-factor': 2 },
  });
  await light(0, 'sweep', file, '--out', 'asha', '--workers', '2');
  const { trials, decisions } = await readSweep(join(dir, 'asha'));
  expect(trials.map(({ state }) => state).sort()).toContain('stopped');
  expect(trials.map(({ state }) => state).sort()).toContain('done');
  expect(decisions.filter(({ rung }) => rung === 0)).toHaveLength(3);
  const left = await readdir(join(dir, 'asha'), { recursive: true });
  expect(left.filter((name) => name.includes('checkpoint'))).toEqual([]);
});

describe('mistakes', () => {
  it.each([
    [['sweep', 'none.yaml', '--out', 'x'], 'none.yaml: no such file'],
    [['sweep', 'bad.yaml', '--out', 'x'], 'bad.yaml: unknown key "metrics"'],
    [['sweep', 'wrong.yaml', '--out', 'x'], 'did you mean "heads-ratio"?'],
    [['sweep', 'good.yaml'], '--out: missing'],
    [['sweep', 'good.yaml', '--out', 'x', '--workers', '0'], '--workers: found 0'],
    [['sweep', 'good.yaml', '--out', 'x', '--detach'], '--detach: needs --queue'],
    [
      ['sweep', 'good.yaml', '--out', 'x', '--queue', 'redis://me:secret@127.0.0.1:1'],
      'redis://127.0.0.1:1: cannot be reached',
    ],
    [['sweep', 'good.yaml', '--out', '../outside', '--queue', 'redis://127.0.0.1:1'], 'is not within --storage'],
    [['sweep', 'status'], 'expected the folder of a sweep, or --queue'],
    [['sweep', 'status', 'nowhere'], 'nowhere'],
    [['sweep', 'final', 'nowhere'], 'nowhere'],
    [['worker'], '--queue: missing'],
    [['worker', '--queue', 'http://me:secret@host'], '--queue: expected redis://'],
  ])('%j is one line', async (argv, message) => {
    await writeFile(join(dir, 'bad.yaml'), 'metrics: accuracy\n');
    await specOf('wrong', { grid: { 'head-ratio': [0.5] } });
    await specOf('good', { grid: { seed: [0] } });
    const said = await light(2, ...argv);
    expect(said).toContain(message);
    expect(said).not.toContain('secret');
    expect(said.trim().split('\n')).toHaveLength(1);
  });
});
