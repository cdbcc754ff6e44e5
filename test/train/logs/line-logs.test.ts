/** Protects: logs of lines are whole and readable; a run that was stopped and resumed leaves the same ones; nothing else is overwritten. */
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../../engine/errors.ts';
import { CsvLog } from '../../../train/logs/csv.ts';
import { JsonlLog } from '../../../train/logs/jsonl.ts';
import type { LogOptions, TrainingLog } from '../../../train/logs/log.ts';
import { tell } from './runs.ts';

let root: string;
let made = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'logs-'));
});
afterAll(() => rm(root, { recursive: true }));

const folder = (): string => join(root, String(made++));
const read = (path: string): Promise<string> => readFile(path, 'utf8');

/** Every file of a folder. */
async function contents(dir: string): Promise<Record<string, string>> {
  const names = (await readdir(dir)).sort();
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await read(join(dir, name))] as const)));
}

type Make = (path: string, options?: LogOptions) => TrainingLog;
const KINDS: readonly (readonly [string, string, Make])[] = [
  ['JsonlLog', 'log.jsonl', (path, options) => new JsonlLog(path, options)],
  ['CsvLog', 'log.csv', (path, options) => new CsvLog(path, options)],
];

it('JSON Lines: a line a step, and a line an evaluation', async () => {
  const path = join(folder(), 'below', 'log.jsonl');
  await tell(new JsonlLog(path), 0, 3);
  const [first, , third, evaluation, ...others] = (await read(path)).split('\n');
  expect(first).toBe('{"step":1,"epoch":0.2,"loss":1,"taskLoss":0.5,"lr":0.001,"gradNorm":10}');
  expect(JSON.parse(third!)).toMatchObject({ step: 3 });
  expect(evaluation).toBe(
    `{"step":3,"epoch":0.6,"eval_accuracy":0.25,"eval_loss":${Math.fround(1 / 3)},"isBest":true}`,
  );
  expect(others).toEqual(['']);
});

it.each(KINDS)(
  '%s takes away what a killed process left of a rewriting, also where nothing is to be cut',
  async (_, name, make) => {
    const dir = folder();
    const path = join(dir, name);
    await tell(make(path), 0, 3);
    // No process has this number.
    await writeFile(join(dir, `.${name}.4194305-0123456789ab.tmp`), 'half');
    await tell(make(path, { resume: true }), 3, 4);
    expect((await readdir(dir)).filter((left) => left.endsWith('.tmp'))).toEqual([]);
  },
);

it('CSV: a table of steps and one of evaluations, without empty cells', async () => {
  const dir = folder();
  await tell(new CsvLog(join(dir, 'log.csv')), 0, 6);
  const steps = (await read(join(dir, 'log.csv'))).split('\n');
  expect(steps.slice(0, 2)).toEqual(['step,epoch,loss,taskLoss,lr,gradNorm', '1,0.2,1,0.5,0.001,10']);
  expect(steps).toHaveLength(8);
  const evaluations = parse(await read(join(dir, 'log.eval.csv')), { columns: true, cast: true });
  expect(evaluations).toEqual([
    { step: 3, epoch: 0.6, eval_accuracy: 0.25, eval_loss: Math.fround(1 / 3), isBest: 'true' },
    { step: 6, epoch: 1.2, eval_accuracy: 0.5, eval_loss: Math.fround(1 / 6), isBest: 'true' },
  ]);
});

it('CSV: names with commas, quotes and line breaks are read as they were, also where a run goes on', async () => {
  const dir = folder();
  const path = join(dir, 'log.csv');
  const run = { method: 'a,"b"\nc', seed: 1 };
  await tell(new CsvLog(path, { run }), 0, 4);
  await tell(new CsvLog(path, { run }), 2, 4);
  const rows: Record<string, string>[] = parse(await read(path), { columns: true });
  expect(rows.map(({ method, step }) => [method, step])).toEqual(['1', '2', '3', '4'].map((n) => [run.method, n]));
});

it('figures that are not finite are null in JSON, and are read as such by tables', async () => {
  const dir = folder();
  const record = { step: 1, epoch: 1, loss: 1, taskLoss: 1, lr: 0, gradNorm: Infinity };
  for (const [, name, make] of KINDS) {
    const log = make(join(dir, name));
    await log.onTrainBegin?.(0, 1);
    await log.onStep?.(record);
    await log.onTrainEnd?.();
  }
  expect(await read(join(dir, 'log.jsonl'))).toContain('"gradNorm":null');
  expect(await read(join(dir, 'log.csv'))).toMatch(/\n1,1,1,1,0,Infinity\n$/);
});

describe.each(KINDS)('%s', (_, name, make) => {
  it('stopped and resumed anywhere, also within a line, it is the same as of a run that was not', async () => {
    const whole = folder();
    await tell(make(join(whole, name)), 0, 12);
    const expected = await contents(whole);
    const stop = fc.record({
      at: fc.integer({ min: 0, max: 12 }),
      lost: fc.integer({ min: 0, max: 5 }),
      torn: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(stop, { maxLength: 4 }), async (stops) => {
        const dir = folder();
        const path = join(dir, name);
        let from = 0;
        for (const { at, lost, torn } of stops) {
          if (at < from) continue;
          await tell(make(path, { resume: true }), from, at);
          if (torn && at > from) await appendFile(path, (await read(path)).slice(5, 17));
          from = Math.max(from, at - lost);
        }
        await tell(make(path, { resume: true }), from, 12);
        expect(await contents(dir)).toEqual(expected);
      }),
      { numRuns: 12 },
    );
  });

  it('of several runs cuts the lines of the one that goes on alone', async () => {
    const dir = folder();
    const path = join(dir, name);
    const [a, b] = [
      { method: 'lora', seed: 0 },
      { method: 'lora', seed: 1 },
    ];
    await tell(make(path, { run: a }), 0, 6);
    await tell(make(path, { run: b, resume: true }), 0, 6, 2);
    const before = await contents(dir);
    await tell(make(path, { run: b, resume: true }), 4, 6, 2);
    expect(await contents(dir)).toEqual(before);
    await tell(make(path, { run: a, resume: true }), 6, 6);
    expect(await contents(dir)).toEqual(before);
    expect(before[name]).toContain(name.endsWith('csv') ? 'method,seed,step' : '{"method":"lora","seed":1,"step":1,');
  });

  it('refuses what is there already unless it goes on or may overwrite; an empty file is as none', async () => {
    const dir = folder();
    const path = join(dir, name);
    await tell(make(path), 0, 6);
    const before = await contents(dir);
    const again = make(path);
    await expect(again.check()).rejects.toThrow(`${path}: is there already: use another one, or \`overwrite\``);
    await expect(tell(again, 0, 3)).rejects.toThrow(UserError);
    expect(await contents(dir)).toEqual(before);
    await tell(make(path, { overwrite: true }), 0, 3, 5);
    const fresh = folder();
    await mkdir(fresh);
    await writeFile(join(fresh, name), '');
    await tell(make(join(fresh, name)), 0, 3, 5);
    expect(await contents(dir)).toEqual(await contents(fresh));
  });

  it('does not go on with a file of another kind, and leaves it as it is', async () => {
    const dir = folder();
    const path = join(dir, name);
    await mkdir(dir);
    await writeFile(path, 'name,"a ""value"""\n1,2\n');
    const before = await contents(dir);
    const log = make(path, { resume: true });
    await expect(log.check()).rejects.toThrow(`${path}: line 1: `);
    await expect(tell(log, 2, 3)).rejects.toThrow(UserError);
    expect(await contents(dir)).toEqual(before);
  });

  it('refuses folders, devices and places below a file, and checks without a trace', async () => {
    const dir = folder();
    const path = join(dir, 'new', name);
    await make(path).check();
    await expect(readdir(dir)).rejects.toThrow('ENOENT');
    await mkdir(path, { recursive: true });
    await expect(make(path).check()).rejects.toThrow(`${path}: is a folder, expected a file`);
    await expect(make('/dev/null').check()).rejects.toThrow('/dev/null: is no file, expected one');
    await expect(make('-').check()).rejects.toThrow('-: is no file, expected one');
    await writeFile(join(dir, 'file'), 'x');
    await expect(make(join(dir, 'file', name)).check()).rejects.toThrow(/file.*: a part of the path is a file/);
  });

  it('follows a link to the file', async () => {
    const dir = folder();
    await mkdir(dir);
    const path = join(dir, name);
    await symlink('real', path);
    for (const options of [{}, { overwrite: true }, { resume: true }]) await tell(make(path, options), 0, 2);
    expect((await read(join(dir, 'real'))).trim().split('\n').length).toBe(name.endsWith('csv') ? 3 : 2);
  });
});
