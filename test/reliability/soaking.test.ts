/** Protects: training does not grow: device bytes and buffers stay what they are, the heap nearly. `npm run soak` takes 1,000 steps. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openTestEngine } from '../engine.ts';
import { soak } from './soaking.ts';

const engine = await openTestEngine();

it('320 steps', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'light-peft-soak-'));
  const { slopes, device, buffers } = await soak(engine, 320, 80, join(dir, 'c.safetensors'));
  await rm(dir, { recursive: true });
  expect(new Set(device).size).toBe(1);
  expect(new Set(buffers).size).toBe(1);
  expect(slopes.heapUsed).toBeLessThan(2048);
  expect(slopes.external).toBeLessThan(2048);
});
