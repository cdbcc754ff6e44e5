/** Protects: learning-rate schedules, against values of transformers' get_linear_schedule_with_warmup and its constant sibling. */
import { expect, it } from 'vitest';
import { scheduleAt } from '../../engine/optim/schedule.ts';

it('linear rises over the warm-up and falls to 0 at the end', () => {
  const values = Array.from({ length: 10 }, (_, step) => scheduleAt('linear', step, 10, 0.2));
  const expected = [0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125];
  values.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 12));
  expect(scheduleAt('linear', 10, 10, 0.2)).toBe(0);
});

it('constant stays at 1 after the warm-up; without one it starts there', () => {
  expect([0, 1, 2, 9].map((step) => scheduleAt('constant', step, 10, 0.2))).toEqual([0, 0.5, 1, 1]);
  expect(scheduleAt('linear', 0, 10, 0)).toBe(1);
});
