/** Protects: what was chosen from stands in the report with the figures that were measured, and what was not run is said so. */
import { expect, it } from 'vitest';
import { choiceSections } from '../../../report/paper/choices.ts';
import type { PaperPart } from '../../../report/paper/schema.ts';

const part = (lr: number, accuracy: number, config: PaperPart['config'] = {}): PaperPart => ({
  ...{ format: 'light-peft/paper-part', version: 1, name: 'n', task: 't', peft: 'lora', method: 'm', ratio: 0.5 },
  ...{ seed: 100, lr, config, metrics: { accuracy }, date: '2026-11-30', commit: 'c', sources: 's' },
  ...{ fingerprint: 'f', command: 'c', device: { adapter: 'GPU', software: false, host: 'h' } },
});

const LIMITED = { 'max-eval-examples': 2000 };

it('has a row for each candidate, a column for each rate', () => {
  const candidates = [
    { label: 'lora, one', metric: 'accuracy', parts: [part(3e-3, 0.8, LIMITED), part(1e-3, 0.7, LIMITED)] },
    { label: 'lora, other', metric: 'accuracy', parts: [part(1e-3, 0.75)] },
  ];
  const text = choiceSections('t', candidates, 0.005).join('\n');
  expect(text).toContain('| method | rows | learning rate 0.001 | learning rate 0.003 |');
  expect(text).toContain('| lora, one | 2000 | 70.0 | 80.0 |');
  expect(text).toContain('within 0.5 points');
  expect(text).toContain('| lora, other | all | 75.0 | not run |');
});

it('says nothing of a task without any', () => {
  expect(choiceSections('t', [], 0.005)).toEqual([]);
});
