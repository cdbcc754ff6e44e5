/** Protects: what was chosen from stands in the report with the figures that were measured, and what was not run is said so. */
import { expect, it } from 'vitest';
import { choiceSections } from '../../../report/paper/choices.ts';
import type { PaperPart, ScoreComparison } from '../../../report/paper/schema.ts';

const tried = (importance: string, headsScope: string, ratio: number, accuracy: number, loss: number) => ({
  ...{ seed: 100, importance, headsScope, neuronsScope: 'global', ratio, accuracy, loss },
});

const scores: ScoreComparison = {
  ...{ format: 'light-peft/score-comparison', version: 1, task: 't', examples: 800, steps: 100 },
  ...{ date: '2026-11-30', command: 'npx x', adapter: 'GPU', software: false, fingerprint: 'f', versions: {} },
  rows: [
    tried('none', '', 0, 0.9, 0.3),
    tried('taylor', 'layerwise', 0.5, 0.875, 0.4),
    tried('taylor', 'global', 0.5, 0.85, 0.5),
    tried('random', 'layerwise', 0.5, 0.75, 0.6),
    tried('random', 'layerwise', 0.5, 0.7, 0.7),
    tried('random', 'layerwise', 0.6667, 0.6, 0.75),
  ],
};

const part = (lr: number, accuracy: number, config: PaperPart['config'] = {}): PaperPart => ({
  ...{ format: 'light-peft/paper-part', version: 1, name: 'n', task: 't', peft: 'lora', method: 'm', ratio: 0.5 },
  ...{ seed: 100, lr, config, metrics: { accuracy }, date: '2026-11-30', commit: 'c', sources: 's' },
  ...{ fingerprint: 'f', command: 'c', device: { adapter: 'GPU', software: false, host: 'h' } },
});

const LIMITED = { 'max-eval-examples': 2000 };

it('has a row for each score and scope; several draws as their range and mean loss', () => {
  const text = choiceSections('t', [], scores, 0.005).join('\n');
  expect(text).toContain('on 800 rows');
  expect(text).toContain('| nothing pruned |  | 90.0 | 0.300 | 90.0 | 0.300 |');
  expect(text).toContain('| taylor | within layers | 87.5 | 0.400 | – | – |');
  expect(text).toContain('| taylor | over the model | 85.0 | 0.500 | – | – |');
  expect(text).toContain('| random | within layers | 70.0 to 75.0 | 0.650 | 60.0 | 0.750 |');
});

it('has a row for each candidate, a column for each rate', () => {
  const candidates = [
    { label: 'lora, one', metric: 'accuracy', parts: [part(3e-3, 0.8, LIMITED), part(1e-3, 0.7, LIMITED)] },
    { label: 'lora, other', metric: 'accuracy', parts: [part(1e-3, 0.75)] },
  ];
  const text = choiceSections('t', candidates, undefined, 0.005).join('\n');
  expect(text).toContain('| method | rows | learning rate 0.001 | learning rate 0.003 |');
  expect(text).toContain('| lora, one | 2000 | 70.0 | 80.0 |');
  expect(text).toContain('within 0.5 points');
  expect(text).toContain('| lora, other | all | 75.0 | not run |');
});

it('says nothing of a task that has neither', () => {
  expect(choiceSections('t', [], undefined, 0.005)).toEqual([]);
});
