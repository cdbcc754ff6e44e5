/** Protects: a run with everything on, stopped and resumed, ends with the same bytes. `npm run stop-resume` stops it ten times. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { stopAndResume } from './stopping.ts';

it('stopped three times', { timeout: 240_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'light-peft-stop-'));
  const { stops, faults } = await stopAndResume(dir, { stops: 3, steps: 60, seed: 2 });
  await rm(dir, { recursive: true });
  expect(faults).toEqual([]);
  expect(stops.map(({ signal }) => signal)).toEqual(['SIGINT', 'SIGKILL', 'SIGTERM']);
});
