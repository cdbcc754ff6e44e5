/** Room: bench/suites. LoRA under each setting that trades memory for something, beside LoRA without it. */
import { z } from 'zod';
import type { BatchShape } from '../../encoder/cost.ts';
import {
  benchOptions,
  openPeft,
  writeRandomModel,
  type EncoderShape,
  type OptionChanges,
} from '../../encoder/model.ts';
import { makeResident, total, type Resident } from '../../encoder/resident.ts';
import { interleave } from '../../measure/sample.ts';
import { sampleSchema, type Table } from '../../report/document.ts';
import type { BenchContext } from '../../suite.ts';

const VARIANTS: Readonly<Record<string, OptionChanges>> = {
  LoRA: {},
  'weights f16': { load: { weights: 'f16' } },
  'activations f16': { train: { activations: 'f16' } },
  'gradientCheckpointing true': { train: { gradientCheckpointing: true } },
  'embeddings host': { load: { embeddings: 'host' } },
};

/** The plain step first. */
export const settingsSchema = z.array(
  z.object({ name: z.string(), time: sampleSchema, bytes: z.record(z.string(), z.number()) }),
);

type SettingsComparison = z.infer<typeof settingsSchema>;

export async function compareSettings(
  { engine, timing, folder }: BenchContext,
  shape: EncoderShape,
  batch: BatchShape,
): Promise<SettingsComparison> {
  const model = await writeRandomModel(folder, 'settings', shape);
  const residents: Resident[] = [];
  for (const [name, changes] of Object.entries(VARIANTS)) {
    if (name.endsWith('f16') && !engine.traits.f16) continue;
    const options = benchOptions(changes);
    residents.push(await makeResident(engine, name, batch, options, () => openPeft(engine, model, options)));
  }
  const candidates = residents.map((r) => r.training);
  const samples = await interleave(candidates, timing);
  const comparison = residents.map(({ name, trainBytes }) => ({ name, time: samples.get(name)!, bytes: trainBytes }));
  for (const resident of residents) resident.free();
  engine.arena.release();
  return comparison;
}

/** @param model what it was measured on */
export function settingsTable(comparison: SettingsComparison, model: string): Table {
  const lora = comparison[0]!;
  return {
    title: `Settings, on ${model}`,
    caption: 'A LoRA step with one setting changed.',
    columns: [
      { key: 'name', title: 'setting', unit: 'text' },
      { key: 'time', title: 'step', unit: 'time' },
      { key: 'speed', title: 'speed', unit: 'ratio' },
      { key: 'weights', title: 'weights', unit: 'bytes' },
      { key: 'activations', title: 'activations', unit: 'bytes' },
      { key: 'peak', title: 'peak', unit: 'bytes' },
      { key: 'share', title: 'of LoRA', unit: 'share' },
    ],
    rows: comparison.map(({ name, time, bytes }) => ({
      name,
      time,
      speed: lora.time.median / time.median,
      weights: bytes.weights ?? 0,
      activations: bytes.activations ?? 0,
      peak: total(bytes),
      share: total(bytes) / total(lora.bytes),
    })),
  };
}
