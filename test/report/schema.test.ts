/** Protects: comparison.json is checked whole, and what is wrong is said in one line naming file and key. */
import { describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { parseComparison, type Comparison } from '../../report/schema.ts';
import { sampleComparison } from './sample.ts';

const json = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

function message(value: unknown): string {
  try {
    parseComparison(json(value), 'out/comparison.json');
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as UserError).message;
  }
  throw new Error('accepted');
}

describe('parseComparison', () => {
  it('gives back what was written', () => {
    const sample = sampleComparison();
    expect(parseComparison(json(sample), 'f')).toEqual(sample);
  });

  it('takes the scores that a task asks for, F1 or not', () => {
    const sample = sampleComparison();
    sample.runs[0]!.metrics = { matthews: -0.1, loss: 1 };
    sample.runs[1]!.metrics = { f1a: 0.6, exactMatch: 0.2, loss: 1 };
    expect(parseComparison(json(sample), 'f')).toEqual(sample);
  });

  it('refuses another version with both numbers, and another format', () => {
    expect(message({ ...sampleComparison(), version: 2 })).toMatch(/"version": found 2, expected 1/);
    expect(message({ ...sampleComparison(), format: 'light-peft/plan' })).toMatch(
      /"light-peft\/plan", expected "light-peft\/comparison"/,
    );
    expect(message({ version: 1 })).toMatch(/key "format": found nothing, expected "light-peft\/comparison"/);
    expect(message([])).toMatch(/^out\/comparison\.json: /);
  });

  const faults: [string, RegExp, (c: Comparison) => void][] = [
    ['a score over 1', /runs\[0\]\.metrics\.accuracy/, (c) => (c.runs[0]!.metrics.accuracy = 86.2)],
    [
      'a run without a score',
      /runs\[0\]\.metrics": found no score, expected "accuracy"/,
      (c) => (c.runs[0]!.metrics = { loss: 1 }),
    ],
    ['a correlation over 1', /runs\[0\]\.metrics\.matthews/, (c) => (c.runs[0]!.metrics.matthews = 1.5)],
    ['more left than there were', /runs\[1\]\.foundation\.left/, (c) => (c.runs[1]!.foundation.left = 1e9)],
    ['more block parameters left', /runs\[1\]\.foundation\.blockLeft/, (c) => (c.runs[1]!.foundation.blockLeft = 1e9)],
    ['more trainables left', /runs\[1\]\.trainable\.left/, (c) => (c.runs[1]!.trainable.left = 1e9)],
    ['a speed of 0', /runs\[2\]\.speed\.trainTokensPerSecond/, (c) => (c.runs[2]!.speed.trainTokensPerSecond = 0)],
    ['a curve with fewer losses', /runs\[0\]\.curves\[0\]\.loss/, (c) => c.runs[0]!.curves[0]!.loss.pop()],
    ['a ragged timeline', /runs\[0\]\.timeline\.points/, (c) => c.runs[0]!.timeline!.points[3]!.pop()],
    [
      'a head that is not there',
      /runs\[3\]\.plan\.layers\[0\]\.keptHeads/,
      (c) => (c.runs[3]!.plan!.layers[0]!.keptHeads = [8]),
    ],
    [
      'a neuron kept twice',
      /runs\[3\]\.plan\.layers\[1\]\.keptNeurons/,
      (c) => (c.runs[3]!.plan!.layers[1]!.keptNeurons = [4, 4]),
    ],
    ['a task that is not declared', /runs\[0\]\.task.*"weather"/, (c) => (c.runs[0]!.task = 'weather')],
    ['the same run twice', /runs\[36\].*same task, method and seed/, (c) => c.runs.push(c.runs[0]!)],
    ['two tasks of one name', /tasks.*same name/, (c) => (c.tasks[1]!.name = 'sentiment')],
    ['no runs', /runs/, (c) => (c.runs = [])],
    ['a date that is none', /meta\.date.*ISO 8601/, (c) => (c.meta.date = 'yesterday')],
  ];

  it.each(faults)('names the key of %s', (_, pattern, spoil) => {
    const sample = sampleComparison();
    spoil(sample);
    const text = message(sample);
    expect(text).toMatch(/^out\/comparison\.json: /);
    expect(text).toMatch(pattern);
    expect(text).not.toContain('\n');
  });
});
