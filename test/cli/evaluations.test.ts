/** Protects: evaluation, the best and early stopping through the commands, their records, and refusals that leave nothing behind. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseComparison } from '../../report/schema.ts';
import { readTrainRecord } from '../../train/result-file.ts';
import { run } from './command.ts';

const MODEL = ['--model', join(import.meta.dirname, '..', '..', 'checkpoints', 'light-roberta')];
const SHORT = ['--batch-size', '4', '--max-length', '16', '--lora-r', '2', '--target-modules', 'query', '--lr', '0.02'];
const BEST = ['--eval-strategy', 'steps', '--eval-steps', '2', '--load-best-model', '--metric-for-best-model', 'loss'];

let dir: string;
const at = (name: string): string => join(dir, name);
let data: string[];
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'evaluations-'));
  const rows = (count: number, from: number): string =>
    Array.from({ length: count }, (_, i) => {
      const n = from + i;
      return `${JSON.stringify({ text: n % 2 ? `a good film ${n}` : `a bad film ${n}`, label: n % 3 ? 'yes' : 'no' })}\n`;
    }).join('');
  await writeFile(at('train.jsonl'), rows(16, 0));
  await writeFile(at('eval.jsonl'), rows(8, 100));
  data = ['--train', at('train.jsonl'), '--eval', at('eval.jsonl')];
});
afterAll(() => rm(dir, { recursive: true }));

it('train: ends with the best, tells all evaluations, and keeps adapters that can be used', async () => {
  const train = ['train', ...MODEL, ...data, ...SHORT, ...BEST, '--steps', '12', '--out', at('tuned')];
  const said = await run(0, ...train, '--early-stopping-patience', '2', '--save-total-limit', '2');
  expect(said).toMatch(/Best evaluation: loss [\d.]+ at step \d+, whose weights are kept/);
  const { evaluations, best, metrics } = await readTrainRecord(join(at('tuned'), 'train.json'));
  expect(evaluations!.map(({ step }) => step)).toEqual(evaluations!.map((_, i) => 2 * (i + 1)));
  expect(best).toMatchObject({ metric: 'loss', isLoaded: true });
  expect(metrics).toMatchObject({ loss: best!.value });
  const kept = (await readdir(at('tuned'))).filter((name) => name.startsWith('checkpoint'));
  expect(kept.length).toBeGreaterThan(0);
  expect(kept.length).toBeLessThanOrEqual(2);
  const figures = ['eval', ...MODEL, '--data', at('eval.jsonl'), '--max-length', '16', '--json', '--adapter'];
  const [, step] = /-(\d+)$/.exec(kept[0]!)!;
  const { metrics: then } = evaluations!.find((e) => e.step === Number(step))!;
  expect(await run(0, ...figures, join(at('tuned'), kept[0]!))).toContain(`"loss": ${then.loss!},`);
  expect(await run(0, ...figures, at('tuned'))).toContain(`"loss": ${best!.value},`);
});

it('run: every method is evaluated, by the part of the training data that is set apart', async () => {
  const split = ['--train', at('train.jsonl'), '--selection-split', '0.4', '--methods', 'reference,light-peft'];
  const out = ['--steps', '4', '--estimate-steps', '2', '--out', at('run')];
  await run(0, 'run', ...MODEL, ...split, ...SHORT, ...BEST, ...out);
  const path = join(at('run'), 'comparison.json');
  const { runs } = parseComparison(JSON.parse(await readFile(path, 'utf8')), path);
  const steps = runs.map(({ evaluations }) => evaluations!.map(({ step }) => step));
  expect(steps).toEqual([
    [2, 4, 6],
    [2, 4],
  ]);
  for (const { best, metrics } of runs) expect(best!.value).toBe(metrics.loss);
  // The estimation is not evaluated: that of another evaluation is taken.
  const other = ['--eval-strategy', 'epoch', '--overwrite'];
  const said = await run(0, 'run', ...MODEL, ...split, ...SHORT, ...other, ...out);
  expect(said).toContain('Light-PEFT · seed 0');
  expect(said).not.toContain('· estimation');
});

it.each([
  [
    [...BEST, '--metric-for-best-model', 'acuracy'],
    '--metric-for-best-model: found "acuracy", did you mean "accuracy"?',
  ],
  [
    ['--early-stopping-patience', '2'],
    '--early-stopping-patience: needs evaluations while training, give --eval-strategy',
  ],
  [['--eval-strategy', 'epoch', '--eval-steps', '5'], '--eval-steps: found --eval-strategy epoch, expected steps'],
  [['--eval-strategy', 'often'], '--eval-strategy'],
  [['--save-total-limit', '0', '--save-every', '2'], '--save-total-limit: found 0'],
])('refuses %j in one line and leaves nothing', async (flags, message) => {
  for (const command of ['train', 'run']) {
    const said = await run(2, command, ...MODEL, ...data, ...SHORT, '--steps', '2', ...flags, '--out', at('refused'));
    const error = said.trim().split('\n').at(-1)!;
    expect(error).toContain(message);
    expect(await readdir(dir)).not.toContain('refused');
  }
});

it('refuses evaluation without data to evaluate on', async () => {
  const train = ['train', ...MODEL, '--train', at('train.jsonl'), ...SHORT, ...BEST, '--steps', '2'];
  expect(await run(2, ...train, '--out', at('refused'))).toContain('give --eval or --selection-split');
  expect(await readdir(dir)).not.toContain('refused');
});
