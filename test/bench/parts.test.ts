/** Protects: a part that fails costs no other, what was measured is on disk at once, and only a run like it takes it from there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { Parts } from '../../bench/parts.ts';
import { UserError } from '../../engine/errors.ts';

let path: string;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  path = join(dir, 'suite.parts.json');
});
afterAll(() => rm(dir, { recursive: true }));

const give = (value: number) => () => Promise.resolve(value);
const never = () => Promise.reject(new Error('measured again'));

it('keeps what was measured beside a part that fails, and goes on from there', async () => {
  const first = await Parts.open(path, 'adapter one', false);
  expect(await first.measure('a', z.number(), give(1))).toBe(1);
  expect(await first.measure('b', z.number(), () => Promise.reject(new UserError('no memory')))).toBeUndefined();
  expect(await first.measure('c', z.number(), give(3))).toBe(3);
  expect(first.failures).toEqual([{ part: 'b', reason: 'no memory' }]);

  const second = await Parts.open(path, 'adapter one', true);
  expect(await second.measure('a', z.number(), never)).toBe(1);
  expect(await second.measure('b', z.number(), give(2))).toBe(2);
  expect(await second.measure('c', z.string(), () => Promise.resolve('another format'))).toBe('another format');
  expect(second.failures).toEqual([]);
  expect(second.earlier).toEqual([expect.stringMatching(/^a \(\d{4}-\d\d-\d\d \d\d:\d\d\)$/)]);
});

it.each([
  ['another adapter', 'adapter two', true],
  ['a run that starts over', 'adapter one', false],
])('takes nothing for %s', async (_, identity, resume) => {
  await (await Parts.open(path, 'adapter one', false)).measure('a', z.number(), give(1));
  const later = await Parts.open(path, identity, resume);
  expect(await later.measure('a', z.number(), give(5))).toBe(5);
  expect(later.earlier).toEqual([]);
});
