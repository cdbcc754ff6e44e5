/** Protects: what scores are worth stands in the report with the figures that were measured. */
import { expect, it } from 'vitest';
import type { ScoreComparison } from '../../../report/paper/schema.ts';
import { scoreSections } from '../../../report/paper/scores.ts';

const tried = (importance: string, headsScope: string, ratio: number, accuracy: number, loss: number) => ({
  ...{ seed: 100, importance, headsScope, neuronsScope: 'global', ratio, accuracy, loss },
});

const scores: ScoreComparison = {
  ...{ format: 'light-peft/score-comparison', version: 1, task: 't', estimation: 'usual', examples: 800, steps: 100 },
  ...{ date: '2026-11-30', command: 'npx x', adapter: 'GPU', software: false, fingerprint: 'f', versions: {} },
  rows: [
    tried('none', '', 0, 0.9, 0.3),
    tried('taylor', 'layerwise', 0.5, 0.875, 0.4),
    tried('taylor', 'global', 0.5, 0.85, 0.5),
    tried('random', 'layerwise', 0.5, 0.75, 0.6),
    tried('random', 'layerwise', 0.5, 0.7, 0.7),
    tried('random', 'layerwise', 0.6667, 0.6, 0.75),
  ],
  heads: [],
};

const usual = { label: 'as in the table', comparison: scores };

it('has a row for each score and scope; several draws as their mean and range, and mean loss', () => {
  const text = scoreSections('t', [usual]).join('\n');
  expect(text).toContain('on 800 rows');
  expect(text).toContain('(seed 100)');
  expect(text).toContain('| nothing pruned |  | 90.0 | 0.300 | 90.0 | 0.300 |');
  expect(text).toContain('| taylor | within layers | 87.5 | 0.400 | – | – |');
  expect(text).toContain('| taylor | over the model | 85.0 | 0.500 | – | – |');
  expect(text).toContain('| random | within layers | 72.5 (70.0 to 75.0) | 0.650 | 60.0 | 0.750 |');
  expect(text).not.toContain('Other estimations');
});

it('has a row for each other estimation and its scores', () => {
  const rows = [tried('none', '', 0, 0.8, 0.5), tried('taylor', 'layerwise', 0.5, 0.7, 0.6)];
  const short = { label: '25 steps', comparison: { ...scores, command: 'npx y', rows } };
  const text = scoreSections('t', [usual, short]).join('\n');
  expect(text).toContain('| as in the table | taylor | 90.0 | 0.300 | 87.5 | 0.400 | – | – |');
  expect(text).toContain('| 25 steps | taylor | 80.0 | 0.500 | 70.0 | 0.600 | – | – |');
  expect(text).toContain('Commands: `npx x`, `npx y`');
});

it('correlates scores with the losses of single heads, seed by seed', () => {
  const head = (seed: number, index: number, loss: number, mask: number, taylor: number) => ({
    ...{ seed, layer: 0, head: index, loss, scores: { mask, taylor } },
  });
  const heads = [head(1, 0, 0.1, 1, 1), head(1, 1, 0.2, 0.98, 2), head(1, 2, 0.3, 0.96, 4), head(2, 0, 9.1, 1, 1), head(2, 1, 9.2, 0.96, 2), head(2, 2, 9.3, 0.98, 4)]; // prettier-ignore
  const text = scoreSections('t', [{ ...usual, comparison: { ...scores, heads } }]).join('\n');
  expect(text).toContain('| mask | -0.75 | 0.960 | 1.00 | 1.04 times |');
  expect(text).toContain('| taylor | 1.00 | 1.00 | 4.00 | 4.00 times |');
});
