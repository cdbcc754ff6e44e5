/** Protects: event files tell a run's scalars, also of one that was stopped and resumed; those of other runs are not mixed with it. */
import { appendFile, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { UserError } from '../../../engine/errors.ts';
import { TensorBoardLog } from '../../../train/logs/tensorboard.ts';
import { scalarsOf } from './read-events.ts';
import { tell } from './runs.ts';

let root: string;
let made = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'events-'));
});
afterAll(() => rm(root, { recursive: true }));

const folder = (): string => join(root, String(made++));

it('has the tags of transformers’ Trainer', async () => {
  const dir = folder();
  await tell(new TensorBoardLog(dir), 0, 3);
  const f = Math.fround;
  expect(await scalarsOf(dir)).toEqual({
    'train/loss': [1, 2, 3].map((step) => [step, f(1 / step)]),
    'train/task_loss': [1, 2, 3].map((step) => [step, f(f(1 / step) / 2)]),
    'train/learning_rate': [1, 2, 3].map((step) => [step, f(1e-3 / step)]),
    'train/grad_norm': [1, 2, 3].map((step) => [step, f(10 * f(1 / step))]),
    'train/epoch': [1, 2, 3].map((step) => [step, f(step / 5)]),
    'eval/accuracy': [[3, 0.25]],
    'eval/loss': [[3, f(1 / 3)]],
  });
  const [name] = await readdir(dir);
  expect(name).toMatch(/^events\.out\.tfevents\.\d{10,}\..+\.\d+$/);
});

it('leaves the task’s loss out where it is the loss', async () => {
  const dir = folder();
  const log = new TensorBoardLog(dir);
  await log.onTrainBegin(0);
  log.onStep({ step: 1, epoch: 1, loss: 2, taskLoss: 2, lr: 1, gradNorm: 1 });
  log.onTrainEnd();
  expect(Object.keys(await scalarsOf(dir))).not.toContain('train/task_loss');
});

it('is with the operating system after every step', async () => {
  const dir = folder();
  const log = new TensorBoardLog(dir);
  await log.onTrainBegin(0);
  log.onStep({ step: 1, epoch: 1, loss: 2, taskLoss: 2, lr: 1, gradNorm: 1 });
  expect((await scalarsOf(dir))['train/loss']).toEqual([[1, 2]]);
  log.onTrainEnd();
});

it('stopped and resumed several times within a second, TensorBoard sees one run', async () => {
  const [whole, dir] = [folder(), folder()];
  await tell(new TensorBoardLog(whole), 0, 12);
  const lives = [
    [0, 2],
    [0, 5],
    [3, 7],
    [7, 10],
    [6, 12],
  ] as const;
  for (const [from, to] of lives) {
    await tell(new TensorBoardLog(dir, { resume: true }), from, to);
    const latest = (await readdir(dir)).sort().at(-1)!;
    await appendFile(join(dir, latest), Buffer.from([40, 0, 0]));
  }
  // Two from the first step on: nothing of the first life counts.
  expect(await readdir(dir)).toHaveLength(4);
  expect(await scalarsOf(dir)).toEqual(await scalarsOf(whole));
});

it('has a folder for each of several runs', async () => {
  const dir = folder();
  for (const seed of [0, 1]) await tell(new TensorBoardLog(dir, { run: { method: 'lora', seed } }), 0, 3, seed + 1);
  expect((await scalarsOf(join(dir, 'lora', 'seed-1')))['train/loss']?.[0]).toEqual([1, 2]);
  expect((await scalarsOf(join(dir, 'lora', 'seed-0')))['train/loss']?.[0]).toEqual([1, 1]);
});

it('refuses a folder with events of another run unless it may overwrite, and leaves other files alone', async () => {
  const dir = folder();
  await tell(new TensorBoardLog(dir), 0, 6);
  await writeFile(join(dir, 'notes.txt'), 'mine');
  const before = await readdir(dir);
  await expect(new TensorBoardLog(dir).check()).rejects.toThrow(
    /: holds event files \(events.*\): use another one, or/,
  );
  await expect(tell(new TensorBoardLog(dir), 0, 3)).rejects.toThrow(UserError);
  expect(await readdir(dir)).toEqual(before);
  await tell(new TensorBoardLog(dir, { overwrite: true }), 0, 3, 7);
  expect(await readdir(dir)).toHaveLength(2);
  await rm(join(dir, 'notes.txt'));
  expect((await scalarsOf(dir))['train/loss']).toHaveLength(3);
});

it('refuses a file, and checks without a trace', async () => {
  const dir = folder();
  await new TensorBoardLog(join(dir, 'below')).check();
  await expect(stat(dir)).rejects.toThrow('ENOENT');
  await mkdir(dir);
  await writeFile(join(dir, 'file'), '');
  const run = { method: 'lora', seed: 0 };
  await expect(new TensorBoardLog(join(dir, 'file'), { run }).check()).rejects.toThrow(
    /file: is a file, expected a fo/,
  );
  await expect(new TensorBoardLog(join(dir, 'file', 'in')).check()).rejects.toThrow(/in: a part of the path is a file/);
});
