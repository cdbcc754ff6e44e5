/** Room: train. Results as plain Hugging Face folders: `merge` adapters into the base, `export` a pruned result at full size. */
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { exists, writeJson } from '../engine/io/files.ts';
import { openSafetensors, writeSafetensors, type TensorEntry, type TensorFile } from '../engine/io/safetensors.ts';
import { fullLayers, type HeadKind, type ModelConfig } from '../models/architecture.ts';
import { inspectCheckpoint } from '../models/base-model.ts';
import { frozenLinears, headShapes } from '../models/heads.ts';
import { isStoredInOut, storedName, transpose } from '../models/weights.ts';
import { configFor } from '../peft/config.ts';
import { writeAdapter, type AdapterTensor } from '../peft/files.ts';
import { mergeFactors } from '../peft/lora/merge.ts';
import type { FactorValues, PeftMethod, PeftModule } from '../peft/module.ts';
import { expandFactors, zeroCutColumns } from '../pruning/densify.ts';
import { keepAll } from '../pruning/plan.ts';
import { moduleSlices, type LayerKeep } from '../pruning/surgery.ts';
import { readAdapterValues, readPlanFor } from './artefact.ts';
import { keptLayers } from './stages.ts';

/**
 * What makes new values of a weight out of the old ones; undefined where it stays as it is. Names are Hugging Face's, matrices
 * [out, in] here whatever the file has.
 */
type Rewrite = (name: string, shape: readonly number[]) => ((weight: Float32Array) => Float32Array) | undefined;

/** A PEFT folder at full size. */
interface Dense {
  readonly config: ModelConfig;
  readonly keep: readonly LayerKeep[];
  readonly method: PeftMethod;
  readonly modules: readonly { readonly module: PeftModule; readonly values: FactorValues }[];
  readonly adapter: Awaited<ReturnType<typeof readAdapterValues>>;
}

async function loadDense(modelDir: string, adapterDir: string): Promise<Dense> {
  const { config, fingerprint } = await inspectCheckpoint(modelDir);
  const plan = await readPlanFor(adapterDir, fingerprint, config);
  const adapter = await readAdapterValues(adapterDir, config);
  const keep = plan ? keptLayers(plan) : keepAll(config);
  const full = new Map(frozenLinears(config, fullLayers(config), adapter.head).map((linear) => [linear.name, linear]));
  const attached = adapter.peft.method === 'lora';
  const modules = adapter.method.modules.map((module) => {
    const { down, up } = adapter.method.factors(module);
    const values = { down: adapter.values.get(down) as Float32Array, up: adapter.values.get(up) as Float32Array };
    const linear = full.get(module.name);
    if (!linear) throw new UserError(`${adapterDir}: module "${module.name}" is not in the base model`);
    return attached ? expandFactors(config, keep, module, values, linear) : { module, values };
  });
  return { config, keep, method: adapter.method, modules, adapter };
}

/**
 * Writes base + LoRA as one checkpoint with its classification head; a pruned result at full size with zeroed columns.
 * @param unmerge takes the adapter out of a merged checkpoint instead
 * @throws UserError for adapters, whose non-linearity has no place in a linear layer
 */
export async function mergeAdapter(modelDir: string, adapterDir: string, out: string, unmerge = false): Promise<void> {
  if (unmerge && (await exists(join(adapterDir, 'plan.json')))) {
    throw new UserError(
      `${adapterDir}: a pruned result cannot be unmerged: what was cut is gone; use the original base`,
    );
  }
  const dense = await loadDense(modelDir, adapterDir);
  if (dense.adapter.peft.method !== 'lora') {
    throw new UserError(`${adapterDir}: bottleneck adapters cannot be merged: they are not linear; use export`);
  }
  const byName = new Map(dense.modules.map((m) => [m.module.name, m]));
  const head = headShapes(dense.config, dense.adapter.head, dense.adapter.labels.length);
  const zeroing = zeroingOf(dense);
  const rewrite: Rewrite = (name, shape) => {
    if (!unmerge && head.has(name)) {
      const value = dense.adapter.values.get(name);
      return value && (() => value);
    }
    const found = name.endsWith('.weight') ? byName.get(name.replace(/\.weight$/, '')) : undefined;
    const zero = zeroing(name, shape);
    if (!found) return zero;
    return (weight) => mergeFactors(zero?.(weight) ?? weight, found.module, found.values, unmerge ? -1 : 1);
  };
  const added = unmerge ? [] : [...head].filter(([name]) => dense.adapter.values.has(name));
  const extra = added.map(([name, shape]): TensorEntry => ({
    name,
    dtype: 'F32',
    shape,
    data: dense.adapter.values.get(name) as Float32Array,
  }));
  await rewriteCheckpoint(modelDir, out, dense, rewrite, extra);
  const { labels } = dense.adapter;
  if (!unmerge && labels.length > 0) await writeJson(join(out, 'config.json'), classifierConfig(dense.config, labels));
}

/** Writes `base/`, a full-size checkpoint with zeroed columns, and `adapter/`, a PEFT folder with rank and alpha patterns. */
export async function exportDense(modelDir: string, adapterDir: string, out: string): Promise<void> {
  const dense = await loadDense(modelDir, adapterDir);
  const { config, method, modules, adapter } = dense;
  await rewriteCheckpoint(modelDir, join(out, 'base'), dense, zeroingOf(dense), []);
  const tensors = new Map<string, AdapterTensor>();
  for (const { module, values } of modules) {
    const { down, up } = method.factors(module);
    tensors.set(down, { shape: [module.ranks, module.inFeatures], data: values.down });
    tensors.set(up, { shape: [module.outFeatures, module.ranks], data: values.up });
  }
  for (const [name, shape] of headShapes(config, adapter.head, adapter.labels.length)) {
    const data = adapter.values.get(name);
    if (data) tensors.set(name, { shape, data });
  }
  const plain = modules.map(({ module }) => module);
  await mkdir(join(out, 'adapter'), { recursive: true });
  await writeAdapter(join(out, 'adapter'), { config: configFor(plain, adapter.peft), modules: plain, tensors });
  if (adapter.labels.length > 0) await writeJson(join(out, 'adapter', 'labels.json'), adapter.labels);
}

/** Zeroes the columns that a plan cuts. */
function zeroingOf({ config, keep }: Dense): Rewrite {
  const slices = moduleSlices(config, keep);
  return (name, [, cols = 1]) => {
    const module = name.replace(/\.weight$/, '');
    if (!name.endsWith('.weight') || !slices.get(module)?.cols) return undefined;
    return (weight) => zeroCutColumns(config, keep, module, weight, cols) ?? weight;
  };
}

/** Copies a model folder with some weights rewritten: in memory is one of those at a time, and pieces of the others. */
async function rewriteCheckpoint(
  modelDir: string,
  out: string,
  { config, adapter }: Pick<Dense, 'config' | 'adapter'>,
  rewrite: Rewrite,
  extra: readonly TensorEntry[],
): Promise<void> {
  await mkdir(out, { recursive: true });
  const file = await openSafetensors(modelDir);
  try {
    const canonical = new Map<string, string>();
    for (const name of weightNames(config, adapter.head)) {
      const stored = storedName(file, name, config);
      if (stored !== undefined) canonical.set(stored, name);
    }
    const replaced = new Set(extra.map(({ name }) => name));
    const entries: TensorEntry[] = [...extra];
    for (const stored of file.names) {
      const name = canonical.get(stored) ?? stored;
      if (replaced.has(name)) continue;
      const { shape, dtype } = file.info(stored);
      const isFloat = dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';
      const turned = isStoredInOut(config, name);
      const change = isFloat ? rewrite(name, turned ? [...shape].reverse() : shape) : undefined;
      entries.push(
        change
          ? { name: stored, shape, dtype: 'F32', data: () => changed(file, stored, change, turned) }
          : { name: stored, shape, dtype, data: () => file.chunks(stored) },
      );
    }
    await writeSafetensors(join(out, 'model.safetensors'), entries, { format: 'pt' });
  } finally {
    await file.close();
  }
  for (const name of await readdir(modelDir)) {
    const isText = /\.(json|txt)$/.test(name) && name !== 'model.safetensors.index.json';
    if (isText) await copyFile(join(modelDir, name), join(out, name));
  }
}

/** New values as the file has them. @param turned whether the file holds the matrix [in, out] */
async function changed(
  file: TensorFile,
  name: string,
  change: (weight: Float32Array) => Float32Array,
  turned: boolean,
): Promise<Float32Array> {
  const stored = await file.readFloat32(name);
  if (!turned) return change(stored);
  const [rows = 1, cols = 1] = file.info(name).shape;
  return transpose(change(transpose(stored, rows, cols)), cols, rows);
}

function weightNames(config: ModelConfig, head: HeadKind): string[] {
  const linears = frozenLinears(config, fullLayers(config), head);
  return linears.flatMap(({ name }) => [`${name}.weight`, `${name}.bias`]);
}

function classifierConfig({ raw, architecture }: ModelConfig, labels: readonly string[]): Record<string, unknown> {
  return {
    ...raw,
    architectures: [`${architecture.className}ForSequenceClassification`],
    id2label: Object.fromEntries(labels.map((label, i) => [String(i), label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
  };
}
