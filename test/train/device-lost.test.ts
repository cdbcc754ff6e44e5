/** Protects: a lost device ends training with its step named and the checkpoint kept. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { exists } from '../../engine/io/files.ts';
import { fineTune } from '../../train/stages.ts';
import { tinyAssembly, tinyExamples, tinySettings } from './tiny.ts';

it('names the step and keeps the last checkpoint', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  const engine = await Engine.open();
  const settings = tinySettings({ steps: 60 });
  const assembly = await tinyAssembly(engine, settings);
  const checkpoint = { path: join(dir, 'c.safetensors'), every: 10, resume: false, identity: {} };
  const onReport = ({ step }: { step: number }): void => {
    if (step >= 20) engine.device.destroy();
  };
  const lost = fineTune(engine, assembly, await tinyExamples(), settings, { checkpoint, onReport });
  await expect(lost).rejects.toThrow(/device was lost.* at step 2\d of 60\. The checkpoint of step \d+ is kept/);
  expect(await exists(checkpoint.path)).toBe(true);
  await rm(dir, { recursive: true });
});
