/**
 * Room: peft/adapterhub. Task heads beside AdapterHub adapters: `head_config.json` and `model_head.safetensors`. Models of
 * transformers keep their own keys (`classifier.…`); the library's flexible heads number theirs (`heads.NAME.1.weight`).
 */
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { exists, jsonText, readJson, type PendingFile } from '../../engine/io/files.ts';
import { openSafetensors, safetensorsWriter } from '../../engine/io/safetensors.ts';
import type { HeadKind, HeadLinear, ModelConfig } from '../../models/architecture.ts';
import { className, headOfClass } from '../../models/config.ts';
import type { AdapterTensor } from '../files.ts';

const CONFIG = 'head_config.json';
const WEIGHTS = 'model_head.safetensors';

const schema = z.looseObject({
  name: z.string().nullish(),
  model_class: z.string().nullish(),
  config: z
    .looseObject({
      head_type: z.string(),
      layers: z.int(),
      activation_function: z.string().nullish(),
      use_pooler: z.boolean().optional(),
      label2id: z.record(z.string(), z.int()).nullish(),
    })
    .nullish(),
  label2id: z.record(z.string(), z.int()).nullish(),
});

interface HubHead {
  readonly kind: HeadKind;
  /** By the names that transformers gives the head's weights. */
  readonly tensors: ReadonlyMap<string, AdapterTensor>;
  readonly labels: readonly string[] | undefined;
}

/** @throws UserError for a head that the family's own is not alike */
export async function readHubHead(dir: string, model: ModelConfig): Promise<HubHead | undefined> {
  const path = join(dir, WEIGHTS);
  if (!(await exists(path))) {
    if (!(await exists(join(dir, 'pytorch_model_head.bin')))) return undefined;
    throw new UserError(
      `${path}: missing, only pytorch_model_head.bin is there; save the adapter with use_safetensors=True`,
    );
  }
  const { name, config, label2id, model_class: modelClass } = await readJson(join(dir, CONFIG), schema);
  const rename = config ? flexible(model, name ?? '', config, join(dir, CONFIG)) : undefined;
  const file = await openSafetensors(path);
  try {
    const tensors = new Map<string, AdapterTensor>();
    for (const key of file.names) {
      const own = rename ? rename.get(key.replace(/\.(weight|bias)$/, '')) : key.replace(/\.(weight|bias)$/, '');
      if (own === undefined) throw new UserError(`${path}: tensor "${key}" is not part of the head in ${CONFIG}`);
      tensors.set(own + key.slice(key.lastIndexOf('.')), {
        shape: file.info(key).shape,
        data: await file.readFloat32(key),
      });
    }
    const ids = Object.entries(config?.label2id ?? label2id ?? {}).sort(([, a], [, b]) => a - b);
    const kind = config ? 'classification' : (headOfClass(model, modelClass) ?? headOfWeights(model, tensors));
    return { kind, tensors, labels: ids.length > 0 ? ids.map(([label]) => label) : undefined };
  } finally {
    await file.close();
  }
}

/** A head whose class is not told: of answers where it has their layer, else of classes. */
function headOfWeights({ architecture: { heads } }: ModelConfig, tensors: ReadonlyMap<string, unknown>): HeadKind {
  const spans = heads['question-answering']?.trained ?? [];
  return spans.some(({ name }) => tensors.has(`${name}.weight`)) ? 'question-answering' : 'classification';
}

/** What the library's numbered layers are called in transformers: a dropout goes before each, an activation after all but the last. */
function flexible(
  model: ModelConfig,
  name: string,
  config: NonNullable<z.infer<typeof schema>['config']>,
  path: string,
): Map<string, string> {
  const head = model.architecture.heads.classification;
  const trained: readonly HeadLinear[] = head?.trained ?? [];
  const pooled = (head?.frozen.length ?? 0) > 0;
  const activation = trained[0]?.activation ?? null;
  const fits = config.head_type === 'classification' && config.layers === trained.length;
  const given = trained.length > 1 ? (config.activation_function ?? null) : activation;
  if (!fits || given !== activation || (config.use_pooler ?? false) !== pooled) {
    const found = `${config.layers} layers, ${config.activation_function ?? 'no'} activation, pooler ${config.use_pooler ?? false}`;
    const expected = `${trained.length} layers, ${activation ?? 'no'} activation, pooler ${pooled}, as ${model.family} has it`;
    throw new UserError(`${path}: a ${config.head_type} head of ${found}; expected classification with ${expected}`);
  }
  return new Map(trained.map((linear, i) => [`heads.${name}.${3 * i + 1}`, linear.name]));
}

/** The files of a head under transformers' own keys; none without a head. */
export function headFiles(
  dir: string,
  model: ModelConfig,
  tensors: ReadonlyMap<string, AdapterTensor>,
  labels: readonly string[],
  kind: HeadKind,
): PendingFile[] {
  const { trained = [], frozen = [] } = model.architecture.heads[kind] ?? {};
  const names = [...trained, ...frozen].map((linear) => linear.name);
  const own = [...tensors].filter(([name]) => names.includes(name.replace(/\.(weight|bias)$/, '')));
  if (own.length === 0) return [];
  const entries = own.map(([name, { shape, data }]) => ({ name, dtype: 'F32' as const, shape, data }));
  const json = {
    config: null,
    hidden_size: model.hiddenSize,
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
    model_class: className(model, kind),
    model_name: null,
    model_type: model.family,
    name: null,
    num_labels: labels.length,
    version: 'adapters.1.0.0',
  };
  return [
    { path: join(dir, WEIGHTS), write: safetensorsWriter(entries, { format: 'pt' }) },
    { path: join(dir, CONFIG), write: (file) => file.writeFile(jsonText(json)) },
  ];
}
