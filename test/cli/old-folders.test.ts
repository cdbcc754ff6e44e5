/**
 * Protects: what the commands of version 0.1 wrote is read as it was then: adapters of every method, plans, estimations, runs with
 * their identities, checkpoints of interrupted runs, and YAML settings. `test/fixtures/version-0.1` was written by them.
 */
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { runCommand } from '../../cli/program.ts';
import { UNIT_SCORES } from '../../pruning/unit-scores.ts';

const OLD = join(import.meta.dirname, '..', 'fixtures', 'version-0.1');
const MODEL = join(import.meta.dirname, '..', 'goldens', 'roberta', 'model');
const SETTINGS = ['--config', join(OLD, 'settings.yaml')];
const TRAIN = ['--train', join(OLD, 'data.jsonl')];
const EVAL = join(OLD, 'eval.jsonl');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  vi.spyOn(process.stdout, 'write').mockImplementation(() => true);
});
afterAll(() => rm(dir, { recursive: true }));

const json = async (path: string): Promise<unknown> => JSON.parse(await readFile(path, 'utf8'));

/** Runs a command that must end well. */
async function run(command: string, ...flags: string[]): Promise<void> {
  const errors: string[] = [];
  const spy = vi.spyOn(process.stderr, 'write').mockImplementation((text) => errors.push(String(text)) > 0);
  const code = await runCommand([command, '--model', MODEL, ...flags]);
  spy.mockRestore();
  expect(code, errors.join('')).toBe(0);
}

/** Every number of a structure, in its order. */
function numbersIn(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  return value !== null && typeof value === 'object' ? Object.values(value).flatMap(numbersIn) : [];
}

function expectClose(found: unknown, expected: unknown): void {
  const numbers = numbersIn(found);
  expect(numbers.length).toBeGreaterThan(0);
  expect(numbers.length).toBe(numbersIn(expected).length);
  numbersIn(expected).forEach((value, i) => expect(numbers[i]).toBeCloseTo(value, 4));
}

async function lines(path: string): Promise<unknown[]> {
  const text = await readFile(path, 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

describe('predictions with adapters of then', () => {
  it.each([
    ...['lora', 'dora', 'ia3', 'houlsby', 'pfeiffer', 'parallel', 'adapter'].map((name): [string, string] => [
      `adapters/${name}`,
      `adapters/${name}.jsonl`,
    ]),
    ['tuned', 'tuned.logits.jsonl'],
    ['pruned-folded', 'pruned-folded.logits.jsonl'],
    ['run/light-peft/seed-0/adapter', 'run/light-peft/seed-0/adapter.logits.jsonl'],
  ] as [string, string][])('%s', async (adapter, expected) => {
    const out = join(dir, 'predictions.jsonl');
    await run('predict', '--adapter', join(OLD, adapter), '--data', EVAL, '--out', out);
    expectClose(await lines(out), await lines(join(OLD, expected)));
  });
});

it('an estimation is pruned to the plan of then', async () => {
  const out = join(dir, 'pruned');
  await run('prune', '--estimate', join(OLD, 'estimate'), ...SETTINGS, '--out', out);
  expect(await json(join(out, 'plan.json'))).toEqual(await json(join(OLD, 'pruned', 'plan.json')));
});

it('an estimation of then has masks alone to prune by', async () => {
  const spy = vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
  const flags = ['--model', MODEL, '--estimate', join(OLD, 'estimate'), ...SETTINGS, '--out', join(dir, 'refused')];
  expect(await runCommand(['prune', ...flags, '--importance', 'taylor'])).toBe(2);
  const said = '--importance: found taylor, which the estimation did not record, as those of earlier versions do not';
  expect(spy.mock.calls.flat().join('')).toContain(said);
  spy.mockRestore();
});

it('a finished run is taken from its folder, and refused with another setting', async () => {
  const out = join(dir, 'run');
  await cp(join(OLD, 'run'), out, { recursive: true });
  // A task of one's own is called by its file, as it was written on the command line.
  process.chdir(OLD);
  const flags = ['--train', 'data.jsonl', '--eval', 'eval.jsonl', ...SETTINGS, '--methods', 'all', '--out', out];
  await run('run', ...flags);
  expect((await json(join(out, 'comparison.json'))) as object).toHaveProperty(
    'runs',
    ((await json(join(OLD, 'run', 'comparison.json'))) as { runs: unknown }).runs,
  );
  const spy = vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
  expect(await runCommand(['run', '--model', MODEL, ...flags, '--clip', '2'])).toBe(2);
  expect(spy.mock.calls.flat().join('')).toContain('--clip was 0.5, now it is 2');
  spy.mockRestore();
});

it.each([
  ['train', '--steps', 'train.json', ['loss']],
  ['estimate', '--estimate-steps', 'records.json', ['loss', 'rank_importance', 'head_masks']],
])('%s goes on from a checkpoint of then to the numbers of then', async (command, steps, result, keys) => {
  const old = join(OLD, `${command}-interrupted`);
  const out = join(dir, command);
  await cp(old, out, { recursive: true });
  await run(command, ...TRAIN, ...SETTINGS, steps, '40', '--save-every', '3', '--out', out, '--resume');
  const found = (await json(join(out, result))) as Record<string, unknown>;
  const expected = (await json(join(old, 'expected.json'))) as Record<string, unknown>;
  for (const key of keys) expectClose(found[key], expected[key]);
  // The steps that count come after that checkpoint, which had no sums for heads and neurons.
  if (command === 'estimate') expect(Object.keys(found.unit_importance as object)).toEqual([...UNIT_SCORES]);
});
