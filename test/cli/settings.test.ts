/** Protects: which of flags, file and defaults a setting comes from. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readSettings } from '../../cli/options.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function file(text: string): Promise<string> {
  const path = join(dir, 'settings.yaml');
  await writeFile(path, text);
  return path;
}

it('flags win over the file, the file over defaults', async () => {
  const config = await file('lora-r: 4\nlr: 0.002\n');
  expect(await readSettings({ config, lr: 0.01 })).toMatchObject({ loraR: 4, lr: 0.01, batchSize: 32 });
});

it.each([
  ['', {}, 64],
  ['steps: 360', {}, 360],
  ['steps: 360\nestimate-steps: 48', {}, 48],
  ['steps: 360\nestimate-steps: 48', { steps: 8 }, 8],
  ['steps: 360\nestimate-steps: 48', { estimateSteps: 9 }, 9],
  ['estimate-steps: 48', { steps: 8, estimateSteps: 9 }, 9],
  ['steps: 0', {}, 64],
])('the estimation takes its steps from what is said nearest: %j, %j', async (text, flags, expected) => {
  const settings = await readSettings({ config: await file(text), ...flags }, { estimation: true });
  expect(settings.estimateSteps).toBe(expected);
});

it('elsewhere steps are those of the fine-tuning alone', async () => {
  expect(await readSettings({ config: await file('steps: 360') })).toMatchObject({ steps: 360, estimateSteps: 64 });
});
