/** Protects: the line of scores names every figure that a task has, with its unit. */
import { expect, it } from 'vitest';
import { scoresLine } from '../../cli/scores.ts';

const counts = { count: 4, loss: 0.5 };

it.each<[object, string]>([
  [{ accuracy: 0.75, f1: 0.8, precision: 1, recall: 0.5, confusion: [[]] }, 'Accuracy 75.00 %, F1 80.00 %'],
  [{ matthews: -0.5, accuracy: 0.25 }, 'Accuracy 25.00 %, Matthews −0.5000'],
  [{ f1a: 0.5, exactMatch: 0.25 }, 'Exact match 25.00 %, F1a 50.00 %'],
  [{ accuracy: 1, f1Macro: 0.5 }, 'Accuracy 100.00 %, Macro F1 50.00 %'],
  [{ mse: 2.25, pearson: 0.9, spearman: 0.8 }, 'Mean squared error 2.25, Pearson 0.9000, Spearman 0.8000'],
  [{ perplexity: 12.5, count: 40 }, 'Perplexity 12.5 over 40 tokens'],
  [
    {
      ...{ exactMatch: 0.5, f1: 0.6, hasAnsTotal: 2, hasAnsExactMatch: 0.25, hasAnsF1: 0.35 },
      ...{ noAnsTotal: 2, noAnsExactMatch: 0.75, noAnsF1: 0.75, bestF1: 1, bestF1Threshold: 0 },
    },
    'Exact match 50.00 %, F1 60.00 %, HasAns exact 25.00 %, HasAns F1 35.00 %, NoAns exact 75.00 %, NoAns F1 75.00 %',
  ],
])('%j', (metrics, line) => {
  expect(scoresLine({ ...counts, ...metrics })).toBe(line);
});
