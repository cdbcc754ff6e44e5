/** Protects: the paper's table says what was run and what was not, with the figures of the parts, and judges no claim without its error. */
import { expect, it } from 'vitest';
import { paperMarkdown, paperSummary } from '../../../report/paper/markdown.ts';
import type { PaperTask } from '../../../report/paper/rows.ts';
import type { PaperPart } from '../../../report/paper/schema.ts';
import { accuracy } from '../../../report/paper/statistics.ts';

const LABELS = Array.from({ length: 200 }, (_, i) => Number(i % 5 < 3));

/** Right but for every n-th row. */
const wrongEvery = (n: number, seed: number): number[] =>
  LABELS.map((label, i) => ((i + seed) % n === 0 ? 1 - label : label));

function part(method: string, ratio: number, seed: number, predictions: number[]): PaperPart {
  const metrics = { accuracy: accuracy(predictions, LABELS), blockShare: 1 - ratio, trainableShare: 1 - ratio, trainSeconds: 90, trainPeakBytes: 3e8, artefactBytes: 1e6 }; // prettier-ignore
  return {
    ...{
      format: 'light-peft/paper-part',
      version: 1,
      name: `t/lora/${method}/${ratio}/seed-${seed}`,
      task: 't',
      peft: 'lora',
    },
    ...{
      method,
      ratio,
      seed,
      lr: 1e-3,
      config: { 'batch-size': 32, 'estimate-steps': 100, steps: 400 },
      metrics,
      predictions,
      date: '2026-11-29T00:00:00Z',
      commit: 'abc',
    },
    ...{ sources: 's', fingerprint: 'sha256:f', command: 'c', device: { adapter: 'GPU', software: false, host: 'h' } },
  };
}

const rows = [
  { peft: 'lora', method: 'reference', label: 'no pruning', ratio: 0 },
  { peft: 'lora', method: 'light-peft', label: 'Light-PEFT', ratio: 0.5, chance: 'random' },
  { peft: 'lora', method: 'random', label: 'random', ratio: 0.5 },
  { peft: 'houlsby', method: 'reference', label: 'no pruning', ratio: 0 },
];

const task = (parts: PaperPart[]): PaperTask => ({
  name: 't',
  metric: 'accuracy',
  score: accuracy,
  labels: LABELS,
  majority: 0.6,
  parts,
});

it('has means and deviations, the majority, and what was not run', () => {
  const parts = [0, 1].flatMap((seed) => [
    part('reference', 0, seed, wrongEvery(20, seed)),
    part('light-peft', 0.5, seed, wrongEvery(20, seed + 3)),
    part('random', 0.5, seed, wrongEvery(4, seed)),
  ]);
  const text = paperMarkdown([task(parts)], rows, 'npm run x');
  expect(text).toContain('| lora, no pruning | 95.0 ± 0.0 (2) |');
  expect(text).toContain('| houlsby, no pruning | not run |');
  expect(text).toContain('| majority | 60.0 |\n| steps | 500 of 32 rows |');
  expect(text).toMatch(
    /lora, Light-PEFT 1\/2 is better than random pruning: holds \(\+20\.0 \[.+ points\)\. t holds \(\+20\.0 \[.+, seeds: 2\)\./,
  );
  expect(text).toMatch(/within a point of lora, no pruning: cannot be told/);
});

it('counts data once over all tasks: by the longest run', () => {
  const parts = (steps: number, n: number): PaperPart[] =>
    [part('light-peft', 0.5, 0, wrongEvery(20, 3)), part('random', 0.5, 0, wrongEvery(n, 0))].map((one) => ({
      ...one,
      config: { ...one.config, task: 'glue/t', steps },
    }));
  const [long, short] = [task(parts(1200, 4)), { ...task(parts(400, 2)), name: 'short' }];
  const alone = paperMarkdown([long], rows, 'x');
  const both = paperMarkdown([long, short], rows, 'x');
  const together = (text: string): string | undefined => /random pruning: (holds \(.+?\))/.exec(text)?.[1];
  expect(together(alone)).toMatch(/^holds \(\+20\.0/);
  expect(together(both)).toBe(together(alone));
  expect(both).toContain('short holds (+45.0');
});

it('tells from which step on pruning has earned its estimation', () => {
  const timed = (of: PaperPart, more: Record<string, number>): PaperPart => ({
    ...of,
    metrics: { ...of.metrics, ...more },
  });
  const reference = part('reference', 0, 0, wrongEvery(20, 0));
  const own = part('light-peft', 0.5, 0, wrongEvery(20, 0));
  const of = (stepSeconds: number): string =>
    paperMarkdown(
      [
        task([
          timed(reference, { trainSeconds: 500, secondsPerStep: 1 }),
          timed(own, { estimateSeconds: 200, trainSeconds: 400 * stepSeconds, secondsPerStep: stepSeconds }),
        ]),
      ],
      rows,
      'x',
    );
  // 200 s for the first 100 steps, then half a second a step: level with a second a step at 300.
  expect(of(0.5)).toContain('| 3 min 20 s | 3 min 20 s | 80% | 300 steps |');
  expect(of(1)).toContain('| never |');
  // Of another machine, perhaps.
  reference.date = '2026-11-28T21:59:00Z';
  expect(of(0.5)).toContain('| 3 min 20 s | 3 min 20 s | – | – |');
});

it('the summary has what was run, and what is left of it', () => {
  const { columns, rows: lines } = paperSummary([task([part('light-peft', 0.5, 0, wrongEvery(20, 0))])], rows);
  expect(columns).toEqual(['method', 'blocks left', 'trainables left', 't, accuracy']);
  expect(lines).toEqual([['lora, Light-PEFT 1/2', '50%', '50%', '95.0 (1)']]);
});

it('judges nothing where nothing was run', () => {
  const text = paperMarkdown([], rows, 'npm run x');
  expect(text).toContain('None can be judged yet.');
  expect(text).toContain('None yet.');
});
