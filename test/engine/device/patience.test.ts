/** Protects: one nap a turn of the event loop, however many waits follow each other, and none where nothing is waited for. */
import { afterEach, expect, it, vi } from 'vitest';
import { patiently } from '../../../engine/device/patience.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

afterEach(() => vi.restoreAllMocks());

it('naps once a turn, until nothing is waited for', async () => {
  const naps = vi.spyOn(Atomics, 'wait').mockReturnValue('timed-out');
  let settle = (): void => undefined;
  const open = patiently(new Promise<void>((resolve) => (settle = resolve)));
  for (let i = 0; i < 50; i++) await patiently(Promise.resolve());
  for (let i = 0; i < 10; i++) await turn();
  expect(naps.mock.calls.length).toBeLessThanOrEqual(11);
  expect(naps.mock.calls.length).toBeGreaterThan(5);
  settle();
  await open;
  await turn();
  const before = naps.mock.calls.length;
  for (let i = 0; i < 5; i++) await turn();
  expect(naps.mock.calls.length).toBe(before);
});

it('does not nap the more, the more waits there have been', async () => {
  for (let i = 0; i < 50; i++) await patiently(Promise.resolve());
  const naps = vi.spyOn(Atomics, 'wait').mockReturnValue('timed-out');
  const last = patiently(turn().then(turn));
  await last;
  expect(naps.mock.calls.length).toBeLessThanOrEqual(3);
});

it('hands on what is thrown', async () => {
  await expect(patiently(Promise.reject(new Error('lost')))).rejects.toThrow('lost');
});
