/** Protects: damaged files of every kind end in one line, never in a crash, a hang, a large allocation or half an output. */
import { expect, it } from 'vitest';
import { damage, randomOf } from './mutations.ts';
import { runMutants } from './mutants.ts';
import { TARGETS } from './targets.ts';

it('500 mutants', { timeout: 240_000 }, async () => {
  const found = await runMutants(20, 0, 500);
  expect(found.faults).toEqual([]);
  expect(found.cases).toBe(500);
  expect(Object.keys(found.byTarget)).toHaveLength(TARGETS.length);
  expect(found.refused).toBeGreaterThan(250);
  expect(found.refused).toBeLessThan(500);
  expect(found.largestAllocation).toBeLessThanOrEqual(2);
});

it('a case is the same whenever it is run', () => {
  const content = Buffer.from('{"a": [1, 2, {"b": "text"}], "c": null}');
  const mutants = Array.from({ length: 50 }, (_, i) => damage(content, 'x.json', randomOf(3, i)).toString('latin1'));
  const again = Array.from({ length: 50 }, (_, i) => damage(content, 'x.json', randomOf(3, i)).toString('latin1'));
  expect(again).toEqual(mutants);
  expect(new Set(mutants).size).toBeGreaterThan(40);
});
