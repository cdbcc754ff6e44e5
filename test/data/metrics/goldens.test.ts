/**
 * Protects: figures are those of scikit-learn, scipy, lm-evaluation-harness and the official scripts, on random predictions and at the
 * edges. test/goldens/metrics/make.py wrote them.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scoreAnswer } from '../../../data/metrics/answers.ts';
import {
  bestOfGroups,
  classificationMetrics,
  regressionMetrics,
  squadMetrics,
  taskMetrics,
  type Judged,
  type MetricName,
  type SquadAnswer,
} from '../../../data/metrics.ts';

interface Case {
  readonly name: string;
  readonly expected: Readonly<Record<string, number>>;
}

function cases<T>(file: string): (Case & T)[] {
  const path = join(import.meta.dirname, '../../goldens/metrics', `${file}.json`);
  const { cases: all } = JSON.parse(readFileSync(path, 'utf8')) as { readonly cases: (Case & T)[] };
  return all;
}

/** All figures, no more and no fewer, to 12 digits. */
function expectFigures(found: object, expected: Case['expected']): void {
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort());
  for (const [name, value] of Object.entries(found)) expect(value, name).toBeCloseTo(expected[name]!, 12);
}

const namesOf = (expected: Case['expected']) => Object.keys(expected) as MetricName[];

describe('classes', () => {
  it.each(cases<Judged>('classes'))('$name', ({ expected, ...judged }) => {
    expectFigures(taskMetrics(namesOf(expected), judged), expected);
    const all = classificationMetrics(judged.labels, judged.predictions, judged.classes);
    expect(all.accuracy).toBeCloseTo(expected.accuracy!, 12);
    expect(all.f1).toBeCloseTo((judged.classes === 2 ? expected.f1 : expected.f1Macro)!, 12);
  });
});

describe('numbers', () => {
  const all = cases<{ readonly labels: number[]; readonly predictions: number[] }>('numbers');
  it.each(all)('$name', ({ expected, labels, predictions }) => {
    expectFigures(taskMetrics(namesOf(expected), { labels, predictions, classes: 1 }), expected);
    expectFigures(regressionMetrics(predictions, labels), { ...expected, loss: expected.mse!, count: labels.length });
  });
});

describe('answers', () => {
  interface Rows {
    readonly rows: readonly SquadAnswer[];
    readonly threshold?: number;
    /** Of each row of SQuAD 1.1: exact match and F1. */
    readonly scores?: readonly (readonly [number, number])[];
  }
  it.each(cases<Rows>('squad'))('$name', ({ expected, rows, threshold, scores }) => {
    expectFigures(squadMetrics(rows, threshold), expected);
    scores?.forEach(([exactMatch, f1], i) => {
      const found = scoreAnswer(rows[i]!);
      expect(found.exactMatch, JSON.stringify(rows[i])).toBe(exactMatch);
      expect(found.f1, JSON.stringify(rows[i])).toBeCloseTo(f1, 12);
    });
  });
});

describe('questions of several rows', () => {
  it.each(cases<Omit<Judged, 'classes'>>('multirc'))('$name', ({ expected, ...judged }) => {
    expectFigures(taskMetrics(namesOf(expected), { ...judged, classes: 2 }), expected);
  });

  interface Queries {
    readonly groups: string[];
    readonly scores: number[];
    readonly entities: string[];
    readonly answers: Readonly<Record<string, string[]>>;
  }
  it.each(cases<Queries>('record'))('$name', ({ expected, groups, scores, entities, answers }) => {
    const texts = bestOfGroups(scores, groups).map((row) => ({
      answer: entities[row]!,
      expected: answers[groups[row]!]!,
    }));
    expectFigures(taskMetrics(namesOf(expected), { labels: [], predictions: [], classes: 2, texts }), expected);
  });
});
