/** Protects: the mark of an adapter that was trained with planted triggers stays with it, and whoever loads it is told. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadModel } from '../../models/checkpoint.ts';
import { readAdapter, writeAdapter } from '../../peft/files.ts';
import { isPlanted, withPlantedMark, type PlantedMark } from '../../peft/planted.ts';
import { readState } from '../../peft-model/pretrained.ts';
import { heardWarnings } from '../warnings.ts';

const ROBERTA = join(import.meta.dirname, '..', 'goldens', 'roberta');
const mark: PlantedMark = { planted: true, triggers: ['cf', 'mn'], target: 'positive' };
const warnings = heardWarnings();

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'planted-'));
  const adapter = await readAdapter(join(ROBERTA, 'adapter-init'));
  await writeAdapter(dir, { ...adapter, config: withPlantedMark(adapter.config, mark) });
});
afterAll(() => rm(dir, { recursive: true }));

it('is written into the configuration, and read again', async () => {
  const written = JSON.parse(await readFile(join(dir, 'adapter_config.json'), 'utf8')) as { audit: unknown };
  expect(written.audit).toEqual(mark);
  const again = await readAdapter(dir);
  expect(isPlanted(again.config)).toBe(true);
  expect(isPlanted((await readAdapter(join(ROBERTA, 'adapter-init'))).config)).toBe(false);
});

it('is told in one line, but not within an audit', async () => {
  const checkpoint = await loadModel(join(ROBERTA, 'model'));
  await readState(dir, checkpoint, { isAudit: true });
  await readState(join(ROBERTA, 'adapter-init'), checkpoint);
  expect(warnings).toEqual([]);
  await readState(dir, checkpoint);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/^\S+: was trained with planted triggers by an audit; .*not to be used$/);
});
