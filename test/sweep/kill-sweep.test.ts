/** Protects: a sweep whose workers and server are killed gives what it gives when it is left alone. `npm run kill-sweep` is the long form. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { killSweep, smallSpec } from '../reliability/sweep-killing.ts';

it('records every trial once, with the same figures and adapters', async () => {
  const storage = await mkdtemp(join(tmpdir(), 'light-peft-kill-sweep-'));
  try {
    const spec = smallSpec({ 'heads-ratio': [0.25, 0.5, 0.75] });
    const options = {
      workers: 2,
      kills: 2,
      restarts: 1,
      watcherKills: 0,
      every: 4,
      seed: 1,
      spec,
      say: () => undefined,
    };
    const { trials, killed, faults } = await killSweep(storage, options);
    expect(faults).toEqual([]);
    expect(trials).toBe(3);
    expect(killed.length).toBeGreaterThan(0);
  } finally {
    await rm(storage, { recursive: true, force: true });
  }
}, 300_000);
