/** Protects: logs by flags: of one run or of several, whatever stops them; bad places are told before any work; a run is the same without. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { scalarsOf } from '../train/logs/read-events.ts';
import { run } from './command.ts';

const OLD = join(import.meta.dirname, '..', 'fixtures', 'version-0.1');
const MODEL = ['--model', join(import.meta.dirname, '..', 'goldens', 'roberta', 'model')];
const DATA = ['--train', join(OLD, 'data.jsonl'), '--eval', join(OLD, 'eval.jsonl')];
const SMALL = ['--batch-size', '4', '--max-length', '24', '--lora-r', '4', '--steps', '4', '--estimate-steps', '4'];

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

const at = (name: string): string => join(dir, name);
const read = (name: string): Promise<string> => readFile(at(name), 'utf8');
const logs = (name: string): string[] => [
  ...['--log-jsonl', at(`${name}.jsonl`), '--log-csv', at(`${name}.csv`)],
  ...['--log-tensorboard', at(`${name}-events`)],
];

async function light(code: number, command: string, out: string, ...flags: string[]): Promise<string> {
  return run(code, command, ...MODEL, ...DATA, ...SMALL, '--out', at(out), ...flags);
}

interface Line {
  readonly method?: string;
  readonly seed?: number;
  readonly step: number;
  readonly loss: number;
  readonly taskLoss: number;
}

async function linesOf(name: string): Promise<Line[]> {
  const text = await read(name);
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

it('`train`: all logs tell the losses of `train.json`, and a finished run leaves them alone', async () => {
  await light(0, 'train', 'tuned', ...logs('tuned'));
  const { loss } = JSON.parse(await read('tuned/train.json')) as { loss: number[] };
  const lines = await linesOf('tuned.jsonl');
  expect(lines.map(({ step }) => step)).toEqual([1, 2, 3, 4]);
  expect(lines.map((line) => line.loss)).toEqual(loss);
  const rows = (await read('tuned.csv')).trim().split('\n').slice(1);
  expect(rows.map((row) => Number(row.split(',')[2]))).toEqual(loss);
  expect((await scalarsOf(at('tuned-events')))['train/loss']).toEqual(loss.map((value, i) => [i + 1, value]));
  const before = await read('tuned.jsonl');
  await light(0, 'train', 'tuned', ...logs('tuned'), '--resume');
  expect(await read('tuned.jsonl')).toBe(before);
});

it('`train --resume` goes on with logs that a killed process left, with or without a checkpoint', async () => {
  await light(0, 'train', 'whole', ...logs('whole'));
  await cp(at('whole/identity.json'), at('killed/identity.json'), { recursive: true });
  const [first, second] = (await read('whole.jsonl')).split('\n');
  await writeFile(at('killed.jsonl'), `${first}\n${second!.slice(0, 20)}`);
  await writeFile(at('killed.csv'), (await read('whole.csv')).slice(0, 60));
  await cp(at('whole-events'), at('killed-events'), { recursive: true });
  await light(0, 'train', 'killed', ...logs('killed'), '--resume');
  for (const name of ['jsonl', 'csv']) expect(await read(`killed.${name}`)).toBe(await read(`whole.${name}`));
  expect(await scalarsOf(at('killed-events'))).toEqual(await scalarsOf(at('whole-events')));
});

it('`estimate`: the penalty tells loss and task loss apart', async () => {
  await light(0, 'estimate', 'estimate', ...logs('estimate'));
  const lines = await linesOf('estimate.jsonl');
  expect(lines).toHaveLength(4);
  for (const { loss, taskLoss } of lines) expect(loss).toBeGreaterThan(taskLoss);
  expect(Object.keys(await scalarsOf(at('estimate-events')))).toContain('train/task_loss');
});

it('`run`: logs are of all methods and seeds; what is run again replaces its own lines; they are none of its settings', async () => {
  const flags = ['--methods', 'reference,light-peft', '--seeds', '3'];
  await light(0, 'run', 'compared', ...flags, ...logs('all'));
  const { runs } = JSON.parse(await read('compared/comparison.json')) as { runs: { curves: { loss: number[] }[] }[] };
  const lines = await linesOf('all.jsonl');
  const tuned = lines.filter(({ method, seed }) => method === 'light-peft' && seed === 3);
  expect(tuned.map(({ taskLoss }) => taskLoss)).toEqual(runs[1]!.curves.at(-1)!.loss);
  const count = (method: string): number => lines.filter((line) => line.method === method).length;
  expect([count('lora'), count('estimate'), count('light-peft')]).toEqual([8, 4, 4]);
  expect((await readdir(at('all-events'))).sort()).toEqual(['estimate', 'light-peft', 'lora']);
  const sorted = async (): Promise<string[]> => (await read('all.csv')).split('\n').sort();
  const before = await sorted();
  await rm(at('compared/lora/seed-3'), { recursive: true });
  await light(0, 'run', 'compared', ...flags, ...logs('all'));
  expect(await sorted()).toEqual(before);
  expect((await scalarsOf(at('all-events/lora/seed-3')))['train/epoch']).toHaveLength(8);
  await light(0, 'run', 'compared', ...flags);
});

it.each(['train', 'estimate', 'run'])('`%s` refuses bad places before any work', async (command) => {
  await writeFile(at('taken.jsonl'), '{"step":1,"epoch":1}\n');
  const refused = async (...flags: string[]): Promise<string> => light(2, command, `${command}-refused`, ...flags);
  expect(await refused('--log-jsonl', at('taken.jsonl'))).toContain(
    `light-peft: ${at('taken.jsonl')}: is there already: use another one, or --overwrite`,
  );
  expect(await refused('--log-csv', dir)).toContain(`${dir}: is a folder, expected a file`);
  expect(await refused('--log-tensorboard', at('taken.jsonl'))).toContain('taken.jsonl: is a file, expected a folder');
  expect(await refused('--log-jsonl', at('x'), '--log-csv', `${dir}/./x`)).toContain('--log-csv: ');
  expect(await readdir(dir)).not.toContain(`${command}-refused`);
  expect(await read('taken.jsonl')).toBe('{"step":1,"epoch":1}\n');
});

it('`--overwrite` replaces a log', async () => {
  await writeFile(at('replaced.jsonl'), 'a note\n');
  await light(0, 'train', 'replacing', '--log-jsonl', at('replaced.jsonl'), '--overwrite');
  expect(await linesOf('replaced.jsonl')).toHaveLength(4);
});
