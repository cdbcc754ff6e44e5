/**
 * Protects: several tasks through the commands. The eight steps of PyTorch are repeated by `train` and its JSONL log; heads by task are
 * saved, evaluated and predicted with; what does not fit is told in one line.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { run } from './command.ts';

const GOLDEN = join(import.meta.dirname, '..', 'goldens', 'gradient-control');
const MODEL = join(GOLDEN, 'model');
const [STEPS, BATCH, SEQ] = [8, 4, 20];

let dir: string;
const at = (...names: string[]): string => join(dir, ...names);

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  const file = await openSafetensors(join(GOLDEN, 'batches.safetensors'));
  const [ids, mask, labels] = await Promise.all(
    ['input_ids', 'attention_mask', 'labels'].map((name) => file.readInt32(name)),
  );
  await file.close();
  for (const [t, name] of ['c', 'p'].entries()) {
    const lines = Array.from({ length: STEPS * BATCH }, (_, i) => {
      const row = (Math.floor(i / BATCH) * 2 + t) * BATCH + (i % BATCH);
      const of = (values: Int32Array): number[] => [...values.subarray(row * SEQ, (row + 1) * SEQ)];
      const length = of(mask!).lastIndexOf(1) + 1;
      return JSON.stringify({ input_ids: of(ids!).slice(0, length), label: labels![row] });
    });
    await writeFile(at(`${name}.jsonl`), `${lines.join('\n')}\n`);
  }
});
afterAll(() => rm(dir, { recursive: true }));

interface LoggedStep {
  readonly step: number;
  readonly loss: { readonly c: number; readonly p: number };
  readonly magnitude: { readonly c: number[]; readonly p: number[] };
  readonly weight: number[];
}

interface Golden {
  readonly runs: Record<
    'clnorm+ilproj',
    { loss: number[]; magnitude_c: number[]; magnitude_p: number[]; w: number[] }[]
  >;
}

const tasks = (): string[] => ['--train', `c=${at('c.jsonl')}`, '--train', `p=${at('p.jsonl')}`];

it('the steps of PyTorch, by the command and its log', async () => {
  const strategy = ['--gradient-control', 'clnorm+ilproj', '--clnorm-task', 'p', '--clnorm-alpha', '1e-2'];
  const plain = ['--dropout', '0', '--schedule', 'constant', '--lr', '3e-3', '--weight-decay', '0', '--clip', '0'];
  await run(
    0,
    ...['train', '--model', MODEL, '--init-adapter', join(GOLDEN, 'adapter-init'), ...tasks()],
    ...['--task-heads', 'shared', ...strategy, '--ilproj', 'always', '--batch-size', '4', '--steps', '8'],
    ...['--no-shuffle', ...plain, '--log-jsonl', at('log.jsonl'), '--out', at('out')],
  );
  const lines = (await readFile(at('log.jsonl'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as LoggedStep);
  const golden = JSON.parse(await readFile(join(GOLDEN, 'expected.json'), 'utf8')) as Golden;
  expect(lines.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  for (const [i, wanted] of golden.runs['clnorm+ilproj'].entries()) {
    const { loss, magnitude, weight } = lines[i]!;
    const pairs = [
      [[loss.c, loss.p], wanted.loss],
      [magnitude.c, wanted.magnitude_c],
      [magnitude.p, wanted.magnitude_p],
      [weight, wanted.w],
    ] as const;
    for (const [found, expected] of pairs)
      expected.forEach((value, k) => expect(Math.abs(found[k]! / value - 1)).toBeLessThan(1e-5));
  }
});

it('heads by task are saved, and used by name', async () => {
  await run(
    0,
    ...['train', '--model', MODEL, ...tasks(), '--eval', `p=${at('p.jsonl')}`, '--task-heads', 'per-task'],
    ...['--steps', '2', '--batch-size', '4', '--out', at('heads'), '--json'],
  );
  const common = ['--model', MODEL, '--adapter', at('heads')];
  const both = ['--data', `c=${at('c.jsonl')}`, '--data', `p=${at('p.jsonl')}`];
  const evaluated = jsonOf(await run(0, 'eval', ...common, ...both, '--json'));
  const { tasks: figures } = evaluated as { tasks: Record<string, { loss: number }> };
  expect(Object.keys(figures)).toEqual(['c', 'p']);
  const alone = jsonOf(await run(0, 'eval', ...common, '--data', at('c.jsonl'), '--task-head', 'p', '--json'));
  expect((alone as { loss: number }).loss).not.toBe(figures.c!.loss);
  await run(0, 'predict', ...common, ...both, '--out', at('predictions.jsonl'));
  const lines = (await readFile(at('predictions.jsonl'), 'utf8')).trimEnd().split('\n');
  expect(lines).toHaveLength(2 * STEPS * BATCH);
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({ task: 'p' });
});

/** What a command printed as JSON, after what it says on the way. */
function jsonOf(printed: string): unknown {
  return JSON.parse(printed.slice(printed.indexOf('{')));
}

describe('one line', () => {
  const train = (...more: string[]) => run(2, 'train', '--model', MODEL, '--steps', '2', '--out', at('bad'), ...more);
  it.each([
    ['CLNorm without a task', () => train(...tasks(), '--gradient-control', 'clnorm'), /--clnorm-task/],
    [
      'a task that there is not',
      () => train(...tasks(), '--gradient-control', 'clnorm', '--clnorm-task', 'q'),
      /--clnorm-task: found "q", expected one of the tasks c, p/,
    ],
    [
      'an option of another strategy',
      () => train(...tasks(), '--clnorm-alpha', '1'),
      /--clnorm-alpha: found --gradient-control sum, expected clnorm/,
    ],
    [
      'a strategy for one task',
      () => train('--train', at('c.jsonl'), '--gradient-control', 'pcgrad'),
      /--gradient-control: is for several tasks, and there is one/,
    ],
    [
      'two tasks of one name',
      () => train('--train', `c=${at('c.jsonl')}`, '--train', `c=${at('p.jsonl')}`),
      /two tasks are called "c"/,
    ],
    [
      'evaluation data of no task',
      () => train(...tasks(), '--eval', `q=${at('c.jsonl')}`),
      /--eval: found the name "q", expected NAME=FILE with one of the tasks c, p/,
    ],
    ['another mix', () => train(...tasks(), '--task-mix', 'some'), /--task-mix: found "some", expected equal/],
    [
      'β of another number of layers',
      () => train(...tasks(), '--gradient-control', 'ilproj', '--ilproj-beta', '0,1'),
      /--ilproj-beta: found 2 numbers, expected one for each of the 4 layers/,
    ],
    [
      'a head that is not there',
      () => run(2, 'eval', '--model', MODEL, '--data', at('c.jsonl'), '--task-head', 'c'),
      /--task-head: found "c", it has one head, without a name/,
    ],
  ])('%s', async (_, attempt, message) => {
    const printed = await attempt();
    expect(printed).toMatch(message);
    expect(printed).not.toMatch(/\n\s+at /);
  });
});
