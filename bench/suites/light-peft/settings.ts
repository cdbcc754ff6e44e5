/** Room: bench/suites. LoRA under each setting that trades memory for something, beside LoRA without it. */
import { z } from 'zod';
import type { Settings } from '../../../train/settings.ts';
import type { BatchShape } from '../../encoder/cost.ts';
import { benchSettings, openPeft, writeRandomModel, type EncoderShape } from '../../encoder/model.ts';
import { assembled, makeResident, total, type Resident } from '../../encoder/resident.ts';
import { alternate } from '../../measure/sample.ts';
import { sampleSchema, type Table } from '../../report/document.ts';
import type { BenchContext } from '../../suite.ts';

const VARIANTS: readonly Partial<Settings>[] = [
  {},
  { weights: 'f16' },
  { activations: 'f16' },
  { gradientCheckpointing: true },
  { embeddings: 'host' },
];

/** The plain step first. */
export const settingsRaceSchema = z.array(
  z.object({ name: z.string(), time: sampleSchema, bytes: z.record(z.string(), z.number()) }),
);

type SettingsRace = z.infer<typeof settingsRaceSchema>;

export async function raceSettings(
  { engine, timing, folder }: BenchContext,
  shape: EncoderShape,
  batch: BatchShape,
): Promise<SettingsRace> {
  const model = await writeRandomModel(folder, 'settings', shape);
  const residents: Resident[] = [];
  for (const variant of VARIANTS) {
    if (Object.values(variant).includes('f16') && !engine.traits.f16) continue;
    const [changed] = Object.entries(variant);
    const name = changed ? `${changed[0]} ${String(changed[1])}` : 'LoRA';
    const settings = benchSettings(variant);
    const open = assembled(engine, () => openPeft(engine, model, settings));
    residents.push(await makeResident(engine, name, batch, settings, open));
  }
  const contenders = residents.map((r) => r.training);
  const samples = await alternate(contenders, timing);
  const race = residents.map(({ name, trainBytes }) => ({ name, time: samples.get(name)!, bytes: trainBytes }));
  for (const resident of residents) resident.free();
  engine.arena.release();
  return race;
}

/** @param model what it was measured on */
export function settingsTable(race: SettingsRace, model: string): Table {
  const lora = race[0]!;
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
    rows: race.map(({ name, time, bytes }) => ({
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
