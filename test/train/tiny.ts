/** Tests only: the small models of the goldens with random PEFT modules on them, and batches of their data. */
import { join } from 'node:path';
import type { Engine } from '../../engine/engine.ts';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { loadBaseModel } from '../../models/base-model.ts';
import { loadConfig } from '../../models/config.ts';
import { createState, type PeftModelState } from '../../peft-model/assembly.ts';
import { hostRandom } from '../../engine/random.ts';
import type { EncodedExample } from '../../data/encode.ts';
import { createConfig } from '../../peft/create-config.ts';
import { settingsSchema, type Settings } from '../../train/settings.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens');

/** A checkpoint of each family. */
export const MODELS = {
  roberta: join(GOLDENS, 'roberta', 'model'),
  bert: join(GOLDENS, 'bert', 'model'),
  distilbert: join(GOLDENS, 'families', 'distilbert-cls', 'model'),
  opt: join(GOLDENS, 'opt', 'model'),
  gpt2: join(GOLDENS, 'families', 'gpt2-lm', 'model'),
  llama: join(GOLDENS, 'families', 'llama-cls', 'model'),
} as const;

export type Family = keyof typeof MODELS;

export const MODEL = MODELS.roberta;

/** Every model here has positions for as many. */
const LONGEST = 16;

export function tinySettings(changes: Partial<Settings> = {}): Settings {
  const small = { loraR: 4, loraAlpha: 8, adapterSize: 4, batchSize: 4, maxLength: 24, estimateSteps: 4, lr: 3e-3 };
  return settingsSchema.parse({ ...small, dropout: 0, ...changes });
}

/** PEFT modules moved away from where they start, so that every factor matters. */
export async function tinyAssembly(
  engine: Engine,
  settings: Settings,
  family: Family = 'roberta',
): Promise<PeftModelState> {
  const model = MODELS[family];
  const config = await loadConfig(model);
  const { weights: weightType, embeddings } = settings;
  const base = await loadBaseModel(engine, model, { weightType, embeddings, head: 'classification' });
  const labels = ['0', '1', '2'];
  const peft = createConfig(settings, config);
  const fresh = await createState(engine, base, peft, 'classification', labels, settings.seed);
  const random = hostRandom(7, 99);
  const values = new Map(fresh.values);
  for (const module of fresh.method.modules) {
    for (const { name, axes } of fresh.method.factors(module)) {
      const shift = axes[0] === 'rank' && axes.length === 2 && !module.isEmbedding ? 0 : 0.2;
      values.set(
        name,
        Float32Array.from(values.get(name) as Float32Array, (v) => v + random.normal() * shift),
      );
    }
  }
  return { ...fresh, values };
}

/** The goldens' 32 sequences, cut to what a family's model takes. */
export async function tinyExamples(family: Family = 'roberta'): Promise<EncodedExample[]> {
  const { vocabSize } = await loadConfig(MODELS[family]);
  const longest = family === 'roberta' ? 24 : LONGEST;
  const file = await openSafetensors(join(GOLDENS, 'roberta', 'batches.safetensors'));
  const [ids, mask, labels] = await Promise.all(
    ['input_ids', 'attention_mask', 'labels'].map((n) => file.readInt32(n)),
  );
  await file.close();
  return Array.from({ length: 32 }, (_, i) => {
    const row = (values: Int32Array | undefined): Int32Array => (values as Int32Array).slice(i * 24, i * 24 + longest);
    const length = row(mask).lastIndexOf(1) + 1;
    return {
      ids: row(ids)
        .slice(0, length)
        .map((id) => id % vocabSize),
      mask: row(mask).slice(0, length),
      typeIds: new Int32Array(length),
      label: (labels as Int32Array)[i] as number,
    };
  });
}
