/** Protects: a run ended by SIGKILL goes on to the same bytes. `npm run kill-resume` does it 20 times. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { killAndResume } from './killing.ts';

it('killed twice', { timeout: 240_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'light-peft-kill-'));
  const { kills, faults } = await killAndResume(dir, { kills: 2, steps: 60, seed: 3 });
  await rm(dir, { recursive: true });
  expect(kills).toBe(2);
  expect(faults).toEqual([]);
});
