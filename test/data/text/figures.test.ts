/** Protects: predictions and figures from likelihoods: ties, lengths, choices in any number, ReCoRD's texts. */
import { expect, it } from 'vitest';
import { textFigures } from '../../../data/text/figures.ts';

const example = (tokens: number) => ({
  ids: new Int32Array(tokens + 1),
  mask: new Int32Array(tokens + 1).fill(1),
  typeIds: new Int32Array(tokens + 1),
  label: -100,
  tokenLabels: Int32Array.from({ length: tokens + 1 }, (_, i) => (i === 0 ? -100 : 1)),
});
const scores = (...values: number[]): Float32Array[] => values.map((value) => Float32Array.of(value));

it('takes the most likely choice, the first of equal ones, and the most likely by character', () => {
  const rows = [
    { gold: 1, lengths: [4, 2] },
    { gold: 0, lengths: [1, 1, 1] },
  ];
  const examples = [1, 2, 1, 1, 1].map(example);
  // Row 1: −4/4 is above −3/2. Row 2: a tie.
  const figures = textFigures(['accuracy', 'accuracyNorm'], rows, examples, scores(-4, -3, -1, -1, -2));
  expect(figures).toEqual({ accuracy: 1, accuracyNorm: 0.5, count: 2, loss: (3 + 1) / 3 });
});

it('judges the text of the most likely choice', () => {
  const texts = { choices: ['Ann Bell', 'Bo'], expected: ['Ann', 'Ann Bell'] };
  const rows = [
    { gold: 0, lengths: [1, 1], texts },
    { gold: 0, lengths: [1, 1], texts },
  ];
  const figures = textFigures(['f1', 'exactMatch'], rows, [1, 1, 1, 1].map(example), scores(-1, -2, -2, -1));
  expect(figures).toMatchObject({ f1: 0.5, exactMatch: 0.5, count: 2 });
});

it('has a macro F1 of more than two classes', () => {
  const rows = [0, 1, 2].map((gold) => ({ gold, lengths: [1, 1, 1] }));
  const likely = [0, 0, 2].flatMap((right) => [0, 1, 2].map((c) => (c === right ? -1 : -2)));
  const figures = textFigures(
    ['accuracy', 'f1Macro'],
    rows,
    Array.from({ length: 9 }, () => example(1)),
    scores(...likely),
  );
  expect(figures.f1Macro).toBeCloseTo((2 / 3 + 0 + 1) / 3, 12);
  expect(figures.accuracy).toBeCloseTo(2 / 3, 12);
});
