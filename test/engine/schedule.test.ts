/** Protects the learning-rate schedules: the multipliers are those of Hugging Face transformers. */
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { scheduleAt, SCHEDULES, type Schedule } from '../../engine/optim/schedule.ts';

const { cases } = JSON.parse(
  await readFile(new URL('../goldens/schedules/schedules.json', import.meta.url), 'utf8'),
) as { cases: (Schedule & { values: number[] })[] };

it.each(cases)('$name over $total steps, $warmup of them warm-up, is as in transformers', ({ values, ...schedule }) => {
  values.forEach((value, step) => expect(scheduleAt(schedule, step)).toBeCloseTo(value, 12));
});

it('all schedules are compared', () => {
  expect(new Set(cases.map(({ name }) => name))).toEqual(new Set(SCHEDULES));
});
