/** Protects: a training checkpoint whose variables may lie otherwise is refused, not read into the wrong places. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeSafetensors } from '../../engine/io/safetensors.ts';
import { loadCheckpoint, saveCheckpoint } from '../../train/checkpoint.ts';
import { hostEngine } from '../reliability/host-engine.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

const engine = hostEngine();
const variables = [engine.variable('trainables', [3], { kind: 'trainables', data: Float32Array.of(1, 2, 3) })];

it('is read back by the version that wrote it', async () => {
  const path = join(dir, 'sound.safetensors');
  await saveCheckpoint(engine, path, 5, { seed: 1 }, variables, { loss: [1], taskLoss: [1] });
  expect((await loadCheckpoint(engine, path, { seed: 1 }, variables)).step).toBe(5);
});

it.each([
  ['none, as the first had', {}, 'version "1"'],
  ['a later one', { version: '3' }, 'version "3"'],
])('of version %s is refused with both numbers', async (_, version, found) => {
  const path = join(dir, 'other.safetensors');
  const metadata = { ...version, step: '5', identity: '{"seed":1}', losses: '{"loss":[],"taskLoss":[]}' };
  const tensor = { name: '0.trainables', dtype: 'F32', shape: [3], data: Float32Array.of(1, 2, 3) } as const;
  await writeSafetensors(path, [tensor], metadata);
  await expect(loadCheckpoint(engine, path, { seed: 1 }, variables)).rejects.toThrow(
    new RegExp(`${found}, this program reads version 2`),
  );
});
