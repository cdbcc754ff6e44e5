/** Protects: one sleep a turn of the event loop, however many waits follow each other, and none where nothing is waited for. */
import { afterEach, expect, it, vi } from 'vitest';
import { waitForGpu } from '../../../engine/device/wait.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

afterEach(() => vi.restoreAllMocks());

it('sleeps once a turn, until nothing is waited for', async () => {
  const sleeps = vi.spyOn(Atomics, 'wait').mockReturnValue('timed-out');
  let settle = (): void => undefined;
  const open = waitForGpu(new Promise<void>((resolve) => (settle = resolve)));
  for (let i = 0; i < 50; i++) await waitForGpu(Promise.resolve());
  for (let i = 0; i < 10; i++) await turn();
  expect(sleeps.mock.calls.length).toBeLessThanOrEqual(11);
  expect(sleeps.mock.calls.length).toBeGreaterThan(5);
  settle();
  await open;
  await turn();
  const before = sleeps.mock.calls.length;
  for (let i = 0; i < 5; i++) await turn();
  expect(sleeps.mock.calls.length).toBe(before);
});

it('does not sleep the more, the more waits there have been', async () => {
  for (let i = 0; i < 50; i++) await waitForGpu(Promise.resolve());
  const sleeps = vi.spyOn(Atomics, 'wait').mockReturnValue('timed-out');
  const last = waitForGpu(turn().then(turn));
  await last;
  expect(sleeps.mock.calls.length).toBeLessThanOrEqual(3);
});

it('hands on what is thrown', async () => {
  await expect(waitForGpu(Promise.reject(new Error('lost')))).rejects.toThrow('lost');
});
