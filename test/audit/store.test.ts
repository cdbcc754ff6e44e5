/** Protects: an audit goes on with the step under way, never takes figures of other settings, and says which setting differs. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { StageStore, type StageOf } from '../../audit/store.ts';
import { exists } from '../../engine/io/files.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'audit-'));
});
afterEach(() => rm(dir, { recursive: true }));

const schema = z.strictObject({ value: z.number() });
const stage = (lr: number): StageOf<z.infer<typeof schema>> => ({ path: 'a/b', schema, identity: { lr, after: 'x' } });

it('does a step once, and tells later ones of what it depends on', async () => {
  const store = new StageStore(dir, false);
  const first = await store.stage(stage(1), () => Promise.resolve({ value: 3 }));
  const again = await new StageStore(dir, false).stage(stage(1), () => Promise.reject(new Error('done before')));
  expect(again).toEqual(first);
  expect(first.folder).toBe(join(dir, 'a', 'b'));
  const other = await new StageStore(await mkdtemp(join(dir, 'c-')), false).stage(stage(2), () =>
    Promise.resolve({ value: 3 }),
  );
  expect(other.id).not.toBe(first.id);
});

it('refuses figures of other settings, or does the step again', async () => {
  await new StageStore(dir, false).stage(stage(1), () => Promise.resolve({ value: 3 }));
  const refused = new StageStore(dir, false).stage(stage(2), () => Promise.resolve({ value: 4 }));
  await expect(refused).rejects.toThrow(/stage\.json: `lr` was 1, now it is 2: use another `out`, .* or `overwrite`$/);
  const replaced = await new StageStore(dir, true).stage(stage(2), () => Promise.resolve({ value: 4 }));
  expect(replaced.result).toEqual({ value: 4 });
});

it('leaves a checkpoint where a step stops, and none where it ends', async () => {
  const path = join(dir, 'a', 'b', 'checkpoint.safetensors');
  const stopped = new StageStore(dir, false).stage(stage(1), async ({ checkpoint }) => {
    expect(checkpoint).toMatchObject({ path, resume: 'always', identity: { lr: 1 } });
    await writeFile(checkpoint.path, '');
    throw new Error('stopped');
  });
  await expect(stopped).rejects.toThrow('stopped');
  expect(await exists(path)).toBe(true);
  await new StageStore(dir, false).stage(stage(1), () => Promise.resolve({ value: 1 }));
  expect(await exists(path)).toBe(false);
});
