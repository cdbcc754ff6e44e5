/** Protects: draws that equal Python's, rows that are not their own examples, too few rows. */
import { expect, it } from 'vitest';
import { FewShot } from '../../../data/text/few-shot.ts';
import { PythonRandom } from '../../../data/text/python-random.ts';
import { answersOf, filled } from '../../../data/text/text-task.ts';

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

it('samples as random.Random(1234) of Python', () => {
  // import random; r = random.Random(1234); [r.sample(range(n), k) for n, k in ((30, 3), (400, 3), (400, 8), (5, 5), (100, 8))]
  const random = new PythonRandom(1234);
  const drawn = (
    [
      [30, 3],
      [400, 3],
      [400, 8],
    ] as const
  ).map(([n, k]) => random.sample(upTo(n), k));
  expect(drawn).toEqual([
    [24, 14, 3],
    [3, 46, 298],
    [17, 343, 354, 42, 50, 392, 181, 121],
  ]);
  // random.Random(7) draws 700 numbers, more than the generator's state holds, and then these.
  const other = new PythonRandom(7);
  for (let i = 0; i < 700; i++) other.sample(upTo(1000), 1);
  expect(other.sample(upTo(1000), 4)).toEqual([948, 937, 274, 636]);
});

const task = answersOf(filled('{text}:'), ['no', 'yes']);

it('never shows a row as its own example', () => {
  const pool = upTo(3).map((i) => ({ text: `t${i}`, label: i % 2 }));
  const fewShot = new FewShot(task, pool, 2);
  for (let i = 0; i < 20; i++) expect(fewShot.before({ text: 't1', label: 1 })).not.toContain('t1');
});

it('says how many examples there are where they are too few', () => {
  expect(() => new FewShot(task, [{ text: 't', label: 0 }], 1)).toThrow(
    'found 1, the training split has examples for 0',
  );
});
