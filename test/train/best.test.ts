/** Protects: which evaluation is the best, and when there were too many without improvement; a resumed run counts as a whole one. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { comparable, Evaluations, mainMetric, type BestBy } from '../../train/best.ts';

/** Adds values of the metric until the run is over. */
function after(values: readonly number[], by: Partial<BestBy> = {}): Evaluations {
  const { metric = 'accuracy' } = by;
  const evaluations = new Evaluations({ ...by, metric });
  values.forEach((value, i) => evaluations.add({ step: 10 * (i + 1), epoch: i, metrics: { [metric]: value } }));
  return evaluations;
}

it('more is better of most figures, less of losses and errors; the first of equal ones is the best', () => {
  expect(after([0.5, 0.7, 0.7, 0.6]).best).toEqual({ step: 20, value: 0.7 });
  for (const metric of ['loss', 'perplexity', 'mse'])
    expect(after([3, 1, 1, 2], { metric }).best).toEqual({ step: 20, value: 1 });
  expect(after([0.5, 0.7, 0.6]).records.map(({ isBest }) => isBest)).toEqual([true, true, false]);
});

it('the patience counts evaluations without improvement, and begins anew with one', () => {
  expect(after([0.5, 0.4], { patience: 2 }).isOver).toBe(false);
  expect(after([0.5, 0.4, 0.5], { patience: 2 }).isOver).toBe(true);
  expect(after([0.5, 0.4, 0.6, 0.5], { patience: 2 }).isOver).toBe(false);
  expect(after([0.5, 0.4, 0.3, 0.2]).isOver).toBe(false);
});

it('as in transformers, what is better by no more than the threshold is the best, and still no improvement', () => {
  const slow = after([0.5, 0.505, 0.51], { patience: 2, threshold: 0.01 });
  expect(slow.best).toEqual({ step: 30, value: 0.51 });
  expect(slow.isOver).toBe(true);
  expect(after([0.5, 0.505, 0.52], { patience: 2, threshold: 0.01 }).isOver).toBe(false);
});

it('NaN is never the best', () => {
  expect(after([NaN, 0.1, NaN]).best).toEqual({ step: 20, value: 0.1 });
  expect(after([NaN, NaN], { patience: 2 })).toMatchObject({ best: undefined, isOver: true });
});

it('records put in again tell the same best and the same patience', () => {
  const values = fc.array(fc.constantFrom(0.1, 0.2, 0.3, 0.4), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(values, fc.integer({ min: 1, max: 3 }), fc.constantFrom(0, 0.15), (all, patience, threshold) => {
      const by = { metric: 'loss', patience, threshold };
      const whole = after(all, by);
      const resumed = new Evaluations(by);
      for (const record of whole.records) resumed.add(record);
      expect(resumed.records).toEqual(whole.records);
      expect([resumed.best, resumed.isOver]).toEqual([whole.best, whole.isOver]);
      expect(whole.best!.value).toBe(Math.min(...all));
    }),
  );
});

it('the figure that chooses by itself is the task’s first, and the loss of language models', () => {
  const names = comparable({ count: 4, matthews: 0.1, accuracy: 0.5, loss: 1, confusion: [[1]], bestF1Threshold: 0.2 });
  expect(names).toEqual(['matthews', 'accuracy', 'loss']);
  expect(mainMetric(names)).toBe('matthews');
  expect(mainMetric(['loss', 'perplexity'])).toBe('loss');
});
