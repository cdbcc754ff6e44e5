/** Protects: a sweep's folder is read as it was written, torn ends included; its tables come back from CSV and JSON as they were. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../../../engine/errors.ts';
import { trialsCsv, trialsJson } from '../../../report/sweep/csv.ts';
import {
  DECISIONS_FILE,
  FINAL_FILE,
  readSweep,
  SWEEP_FILE,
  TRIALS_FILE,
  writeSweepReport,
} from '../../../report/sweep/write.ts';
import { randomSweep, sampleFile, sampleSweep, trial } from './sample.ts';

type Row = Record<string, string>;

const rowsOf = (text: string): Row[] => parse(text, { columns: true });

describe('trialsCsv', () => {
  it('comes back as it was', () => {
    const data = randomSweep(30);
    const rows = rowsOf(trialsCsv(data));
    expect(rows).toHaveLength(30);
    rows.forEach((row, i) => {
      const { id, state, config, metrics, device } = data.trials[i]!;
      expect(row).toMatchObject({
        id,
        state,
        adapter: device!.adapter,
        software: 'false',
        host: device!.host,
        error: '',
      });
      expect(Number(row['config.lr'])).toBe(config.lr);
      expect(JSON.parse(row['config.targets']!)).toEqual(config.targets);
      expect(Number(row['metrics.accuracy'])).toBe(metrics.accuracy);
    });
  });

  it('has axes first, and empty cells for what is not there', () => {
    const text = trialsCsv(sampleSweep());
    expect(text.split('\r\n')[0]).toBe(
      'id,state,config.methods,config.heads-ratio,config.lr,config.seed,metrics.accuracy,metrics.f1,metrics.loss,metrics.trainTokensPerSecond,metrics.inferExamplesPerSecond,metrics.trainPeakBytes,metrics.blockShare,metrics.trainableShare,metrics.trainSeconds,seconds,adapter,software,host,error',
    );
    const rows = rowsOf(text);
    expect(rows.find(({ id }) => id === 't0-6-0')!['config.heads-ratio']).toBe('');
    expect(rows.find(({ state }) => state === 'failed')!.error).toBe(
      'Error: no memory for <b>"x"</b> & more\n  at step 3',
    );
  });

  it('has no formulas', () => {
    const error = '=cmd|"/c calc"!A1';
    const data = { sweep: sampleFile({ axes: ['a', 'b'] }), trials: [trial('@x', { a: '+1', b: -1 }, { error })], decisions: [] }; // prettier-ignore
    const [row] = rowsOf(trialsCsv(data));
    expect(row).toMatchObject({ id: "'@x", 'config.a': "'+1", 'config.b': '-1', error: `'${error}` });
    expect(trialsJson(data)[0]).toMatchObject({ id: '@x', 'config.a': '+1', error });
  });

  it('has heads alone before any trial', () => {
    const data = { sweep: sampleFile({ axes: ['lr'] }), trials: [], decisions: [] };
    expect(trialsCsv(data)).toBe('id,state,config.lr,seconds,adapter,software,host,error\r\n');
    expect(trialsJson(data)).toEqual([]);
  });
});

describe('a sweep’s folder', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sweep-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  const write = (name: string, value: string | object): Promise<void> =>
    writeFile(join(dir, name), typeof value === 'string' ? value : JSON.stringify(value));
  const lines = (values: readonly object[]): string => values.map((value) => `${JSON.stringify(value)}\n`).join('');

  it('is read as it was written', async () => {
    const data = { ...sampleSweep(), decisions: randomSweep(1).decisions };
    await write(SWEEP_FILE, data.sweep);
    await write(TRIALS_FILE, lines(data.trials));
    await write(DECISIONS_FILE, lines(data.decisions));
    await write(FINAL_FILE, data.final!);
    expect(await readSweep(dir)).toEqual(data);
  });

  it('is read while it grows: without trials, and with a line half written', async () => {
    await write(SWEEP_FILE, sampleFile());
    expect(await readSweep(dir)).toEqual({ sweep: sampleFile(), trials: [], decisions: [], final: undefined });
    const [first, second] = sampleSweep().trials;
    await write(TRIALS_FILE, `${lines([first!, second!])}{"id":"x`);
    expect((await readSweep(dir)).trials).toEqual([first, second]);
    await write(TRIALS_FILE, `${lines([first!])}${JSON.stringify(second)}`);
    expect((await readSweep(dir)).trials).toEqual([first]);
  });

  it('takes the last line of a trial', async () => {
    await write(SWEEP_FILE, sampleFile());
    const failed = trial('a', {}, { state: 'failed', error: 'no' });
    const done = trial('a', {}, { metrics: { accuracy: 1 } });
    await write(TRIALS_FILE, lines([failed, trial('b', {}), done]));
    expect((await readSweep(dir)).trials).toEqual([done, trial('b', {})]);
  });

  it.each([
    [TRIALS_FILE, '{"id":\n', 'line 2: not valid JSON'],
    [TRIALS_FILE, '\n', 'line 2: the file is empty'],
    [TRIALS_FILE, '{"id":"a"}\n', 'line 2: key "config"'],
    [DECISIONS_FILE, '{"trial":7}\n', 'line 2: key "trial"'],
  ])('refuses a malformed line of %s: %j', async (name, line, message) => {
    await write(SWEEP_FILE, sampleFile());
    const { trials, decisions } = randomSweep(1);
    await write(name, lines([name === TRIALS_FILE ? trials[0]! : decisions[0]!]) + line);
    const error: unknown = await readSweep(dir).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toContain(`${join(dir, name)}: ${message}`);
  });

  it('refuses another version, and a folder that is none', async () => {
    await expect(readSweep(dir)).rejects.toThrow(UserError);
    await write(SWEEP_FILE, { ...sampleFile(), version: 2 });
    await expect(readSweep(dir)).rejects.toThrow(/key "version"/);
  });

  it('gets a page, CSV and JSON, with links to trials that have pages', async () => {
    const data = sampleSweep();
    await write(SWEEP_FILE, data.sweep);
    await write(TRIALS_FILE, lines([...data.trials, trial('..', { lr: 2 }), trial('a b', { lr: 3 })]));
    for (const id of ['t0-1-0', 'a b']) {
      await mkdir(join(dir, 'trials', id), { recursive: true });
      await write(join('trials', id, 'report.html'), 'page');
    }
    const path = await writeSweepReport(dir);
    expect(path).toBe(join(dir, 'report.html'));
    const page = await readFile(path, 'utf8');
    expect(page.match(/href="trials\/[^"]*"/g)).toEqual([
      'href="trials/t0-1-0/report.html"',
      'href="trials/a%20b/report.html"',
    ]);
    expect(rowsOf(await readFile(join(dir, 'trials.csv'), 'utf8'))).toHaveLength(data.trials.length + 2);
    expect(JSON.parse(await readFile(join(dir, 'trials.json'), 'utf8'))).toHaveLength(data.trials.length + 2);
    expect((await readdir(dir)).sort()).toEqual(['report.html', SWEEP_FILE, 'trials', 'trials.csv', 'trials.json', TRIALS_FILE].sort()); // prettier-ignore
  });
});
