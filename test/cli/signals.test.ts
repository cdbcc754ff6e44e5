/**
 * Protects: what schedulers and terminals send ends a command as Ctrl-C does, with what is done kept; a hang-up that is ignored stays so;
 * results and data go through standard output and input.
 */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { exists } from '../../engine/io/files.ts';
import { begin, untilThere, type Life } from './life.ts';

const OLD = join(import.meta.dirname, '..', 'fixtures', 'version-0.1');
const MODEL = ['--model', join(import.meta.dirname, '..', 'goldens', 'roberta', 'model')];
const SMALL = ['--batch-size', '4', '--max-length', '24', '--lora-r', '4', '--save-every', '1'];
const DATA = ['--train', 'data.jsonl', '--eval', 'eval.jsonl'];

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  for (const name of ['data.jsonl', 'eval.jsonl']) await cp(join(OLD, name), join(dir, name));
});
afterAll(() => rm(dir, { recursive: true }));

/** @param shell a line for bash, with `"$@"` in place of the command */
const light = (argv: readonly string[], shell?: string): Life => begin(dir, argv, shell);
const until = (path: string, life: Life): Promise<void> => untilThere(join(dir, path), life);

const numbersOf = async (path: string): Promise<unknown> =>
  (JSON.parse(await readFile(join(dir, path), 'utf8')) as { runs: { metrics: unknown; curves: unknown }[] }).runs.map(
    ({ metrics, curves }) => ({ metrics, curves }),
  );

it.each([
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('%s saves, and ends with %i', async (signal, code) => {
  const life = light(['train', ...MODEL, ...DATA, ...SMALL, '--steps', '2000', '--out', signal, '--resume']);
  await until(`${signal}/checkpoint.safetensors`, life);
  life.child.kill(signal);
  const { code: found, said } = await life.ended;
  expect(found, said).toBe(code);
  expect(said).toMatch(/Interrupted after step \d+ of 2000\. The checkpoint of step \d+ is kept; go on with --resume/);
  expect(await exists(join(dir, signal, '.light-peft.lock'))).toBe(false);
});

it.each([
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const)('%s in an evaluation stops between two of its batches', async (signal, code) => {
  const row = (await readFile(join(dir, 'eval.jsonl'), 'utf8')).split('\n')[0]!;
  await writeFile(join(dir, 'long.jsonl'), `${row}\n`.repeat(40_000));
  const log = `in-${signal}.jsonl`;
  const every = ['--eval-strategy', 'steps', '--eval-steps', '2', '--log-jsonl', log];
  const data = ['--train', 'data.jsonl', '--eval', 'long.jsonl'];
  const life = light(['train', ...MODEL, ...data, ...SMALL, ...every, '--steps', '9', '--out', `in-${signal}`]);
  // The step before the evaluation was told.
  while (!(await linesOf(log)).includes('"step":2,') && life.child.exitCode === null) await setTimeout(10);
  life.child.kill(signal);
  const { code: found, said } = await life.ended;
  expect(found, said).toBe(code);
  expect(said).toMatch(/Interrupted in the evaluation after step 2 of 9\. The checkpoint of step 2 is kept/);
  expect(await linesOf(log)).not.toContain('eval_loss');
});

const linesOf = (path: string): Promise<string> => readFile(join(dir, path), 'utf8').catch(() => '');

it.each([
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const)(
  '%s before there is a device leaves neither lock nor folder, nor data that came by a pipe',
  async (signal, code) => {
    const temporary = join(dir, `temporary-${signal}`);
    await mkdir(temporary);
    const life = light(
      ['train', ...MODEL, '--train', '-', '--format', 'jsonl', '--out', `early/${signal}`],
      `TMPDIR=${temporary} exec "$@"`,
    );
    await until(`early/${signal}/.light-peft.lock`, life);
    life.child.stdin.write('{"text": "not yet all"');
    while ((await readdir(temporary)).length === 0 && life.child.exitCode === null) await setTimeout(10);
    life.child.kill(signal);
    const { code: found, said } = await life.ended;
    expect(found, said).toBe(code);
    expect(said).toContain('Interrupted.');
    expect(await exists(join(dir, 'early'))).toBe(false);
    expect(await readdir(temporary)).toEqual([]);
  },
);

it.each([
  ['nohup', 'nohup "$@" & echo $!; wait'],
  ['a shell that ignores it', 'trap "" HUP; "$@" & echo $!; wait'],
])('SIGHUP under %s does nothing', async (name, shell) => {
  const out = name.slice(0, 5);
  const life = light(['train', ...MODEL, ...DATA, ...SMALL, '--steps', '12', '--out', out], shell);
  let pid = 0;
  life.child.stdout.once('data', (text: Buffer) => (pid = Number(text.toString())));
  await until(`${out}/checkpoint.safetensors`, life);
  process.kill(pid, 'SIGHUP');
  const { said } = await life.ended;
  expect(await exists(join(dir, out, 'train.json')), said).toBe(true);
});

it('Ctrl-C in `run` keeps the method in progress and the estimation; the same command goes on to the same numbers', async () => {
  const steps = ['--steps', '30', '--estimate-steps', '4', '--methods', 'light-peft'];
  const run = (out: string): Life => light(['run', ...MODEL, ...DATA, ...SMALL, ...steps, '--out', out]);
  const whole = run('whole').ended;
  const life = run('run');
  await until('run/light-peft/seed-0/checkpoint.safetensors', life);
  life.child.kill('SIGINT');
  const { code, said } = await life.ended;
  expect(code, said).toBe(130);
  expect(said).toMatch(/The checkpoint of step \d+ is kept; the same command goes on/);
  const pruned = await light(['prune', ...MODEL, '--estimate', 'run/estimate/seed-0', '--out', 'pruned']).ended;
  expect(pruned.code, pruned.said).toBe(0);
  const again = await run('run').ended;
  expect(again.code, again.said).toBe(0);
  expect(again.said).not.toContain('· estimation');
  expect((await whole).code).toBe(0);
  expect(await numbersOf('run/comparison.json')).toEqual(await numbersOf('whole/comparison.json'));
});

it('predictions of standard input go to standard output alone', async () => {
  const predict = ['predict', ...MODEL, '--data'];
  const file = await light([...predict, 'eval.jsonl', '--out', 'p.jsonl']).ended;
  expect(file.code, file.said).toBe(0);
  const piped = light([...predict, '-', '--format', 'jsonl', '--out', '-']);
  piped.child.stdin.end(await readFile(join(dir, 'eval.jsonl')));
  const { code, out, said } = await piped.ended;
  expect(code, said).toBe(0);
  expect(out).toBe(await readFile(join(dir, 'p.jsonl'), 'utf8'));
  expect(said).toContain('16 predictions');
  const bad = light([...predict, '-', '--format', 'jsonl', '--out', '/dev/stdout']);
  bad.child.stdin.end('nothing');
  expect(await bad.ended).toMatchObject({ code: 2, out: '' });
  expect((await bad.ended).said).toContain('standard input:1: not JSON');
});

it('a standard output that is full, and one that nobody reads, are told in one line or none', async () => {
  const predict = ['predict', ...MODEL, '--data', 'eval.jsonl', '--out', '-'];
  const full = await light(predict, '"$@" > /dev/full').ended;
  expect(full).toMatchObject({ code: 2, out: '' });
  expect(full.said.trim().split('\n').at(-1)).toBe('light-peft: standard output: no space left on the disk');
  const unread = await light([...predict], '"$@" | true; exit "${PIPESTATUS[0]}"').ended;
  expect(unread.code, unread.said).toBe(1);
  expect(unread.said).not.toContain('EPIPE');
});
