/** Protects: steps are saved by number or by time; a full disk costs the checkpoint alone; the signal is listened to while steps run. */
import { getEventListeners } from 'node:events';
import { afterAll, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { setWarningHandler } from '../../engine/warnings.ts';
import { runSteps, type LoopBody } from '../../train/loop.ts';

const warnings: string[] = [];
const silent = setWarningHandler((text) => warnings.push(text));
afterAll(() => setWarningHandler(silent));

const OPTIONS = { from: 0, total: 12, readEvery: 4, saveEvery: 0 };
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Steps that take a while. @param save what saving does */
function body(save: LoopBody['save'], stepMs = 0): LoopBody {
  return {
    enqueue: () => (stepMs > 0 ? pause(stepMs).then(() => 1) : 1),
    finished: () => Promise.resolve(),
    losses: (from, to) => Promise.resolve(Array.from({ length: to - from }, () => 1)),
    ...(save && { save }),
  };
}

it('saves by time where no number of steps is given, but not often, and not the last step', async () => {
  const saved: number[] = [];
  const save = (next: number): Promise<void> => Promise.resolve(void saved.push(next));
  await runSteps({ ...OPTIONS, saveSeconds: 0.05 }, body(save, 20));
  expect(saved.length).toBeGreaterThan(1);
  expect(saved.length).toBeLessThan(6);
  expect(saved).not.toContain(12);
  saved.length = 0;
  await runSteps(OPTIONS, body(save));
  expect(saved).toEqual([]);
  await runSteps({ ...OPTIONS, saveEvery: 5 }, body(save));
  expect(saved).toEqual([5, 10]);
});

it('tells who saves how long the steps took', async () => {
  const timings: object[] = [];
  await runSteps(
    { ...OPTIONS, saveEvery: 5 },
    body((_, timing) => Promise.resolve(void timings.push(timing)), 5),
  );
  expect(timings).toMatchObject([{ tokens: 5 }, { tokens: 10 }]);
});

it('a full disk is a warning, and when stopped it is said with what is kept', async () => {
  let full = false;
  const save = (): Promise<void> =>
    full
      ? Promise.reject(new UserError('out/checkpoint: no space left on the disk'))
      : Promise.resolve((full = true)).then();
  const { tokens } = await runSteps({ ...OPTIONS, saveEvery: 4 }, body(save));
  expect(tokens).toBe(12);
  expect(warnings).toEqual(['no checkpoint at step 8: out/checkpoint: no space left on the disk; training goes on']);
  const abort = new AbortController();
  abort.abort();
  await expect(runSteps({ ...OPTIONS, signal: abort.signal }, body(save))).rejects.toThrow(
    'Interrupted after step 0 of 12. out/checkpoint: no space left on the disk. No checkpoint was written.',
  );
  await expect(runSteps({ ...OPTIONS, from: 3, signal: abort.signal, resumes: true }, body(save))).rejects.toThrow(
    'The checkpoint of step 3 is kept; the same command goes on.',
  );
});

it('an error that is not the disk’s ends training', async () => {
  const save = (): Promise<void> => Promise.reject(new Error('a fault'));
  await expect(runSteps({ ...OPTIONS, saveEvery: 4 }, body(save))).rejects.toThrow('a fault');
});

it('listens to the signal while steps run', async () => {
  const { signal } = new AbortController();
  const counts: number[] = [];
  const onReport = (): void => void counts.push(getEventListeners(signal, 'abort').length);
  await runSteps({ ...OPTIONS, signal, onReport }, body(undefined));
  expect(counts).toEqual([1, 1, 1]);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});
