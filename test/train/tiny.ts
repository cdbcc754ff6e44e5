/** Tests only: the small models of the goldens with random PEFT modules on them, and batches of their data. */
import { join } from 'node:path';
import type { EncodedExample } from '../../data/encoded-example.ts';
import type { Engine } from '../../engine/engine.ts';
import { openSafetensors, writeSafetensors } from '../../engine/io/safetensors.ts';
import { hostRandom } from '../../engine/random.ts';
import { runOptionsSchema, type RunOptions } from '../../experiments/options.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { loadConfig } from '../../models/config.ts';
import { peftConfig } from '../../peft/create-config.ts';
import { getPeftModel } from '../../peft-model/create.ts';
import type { PeftModel } from '../../peft-model/peft-model.ts';

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

/** Options that differ from those of `tinyOptions`, by room. */
export type Changes = { readonly [K in keyof RunOptions]?: Partial<RunOptions[K]> };

/** Every option of a small run: LoRA of rank 4 without dropout, batches of four, an estimation of four steps. */
export function tinyOptions(changes: Changes = {}): RunOptions {
  return runOptionsSchema.parse({
    preset: {},
    peft: { r: 4, loraAlpha: 8, adapterSize: 4, dropout: 0, ...changes.peft },
    data: { maxLength: 24, ...changes.data },
    train: { batchSize: 4, lr: 3e-3, ...changes.train },
    distill: { ...changes.distill },
    load: { ...changes.load },
    engine: { ...changes.engine },
    estimate: { estimateSteps: 4, ...changes.estimate },
    decide: { ...changes.decide },
    slice: { ...changes.slice },
  });
}

const TINY_LABELS = ['0', '1', '2'];

/** A model with PEFT modules moved away from where they start, so that every factor matters. */
export async function tinyModel(
  engine: Engine,
  { peft, load, train: { seed } }: RunOptions = tinyOptions(),
  family: Family = 'roberta',
): Promise<PeftModel> {
  const checkpoint = await loadModel(MODELS[family]);
  const options = { ...load, head: 'classification', labels: TINY_LABELS, seed } as const;
  const model = await getPeftModel(engine, checkpoint, peftConfig(peft), options);
  const random = hostRandom(7, 99);
  const values = new Map(await model.stateDict());
  for (const module of model.method!.modules) {
    for (const { name, axes } of model.method!.factors(module)) {
      const shift = axes[0] === 'rank' && axes.length === 2 && !module.isEmbedding ? 0 : 0.2;
      values.set(
        name,
        values.get(name)!.map((v) => v + random.normal() * shift),
      );
    }
  }
  model.loadStateDict(values);
  return model;
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

/** Writes a file again without some of its tensors. @returns how many they were */
export async function withoutTensors(path: string, which: RegExp): Promise<number> {
  const file = await openSafetensors(path);
  const { names, metadata } = file;
  const kept = names.filter((name) => !which.test(name));
  const entries = await Promise.all(
    kept.map(async (name) => ({
      name,
      dtype: 'F32' as const,
      shape: file.info(name).shape,
      data: await file.readFloat32(name),
    })),
  );
  await file.close();
  await writeSafetensors(path, entries, metadata);
  return names.length - kept.length;
}
