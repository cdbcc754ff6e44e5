/** Room: train. Results as plain Hugging Face folders: `merge` adapters into the base, `export` a pruned result at full size. */
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../engine/errors.ts';
import type { Shape } from '../engine/graph/shape.ts';
import { fingerprintCheckpoint } from '../engine/io/fingerprint.ts';
import { exists, writeJson } from '../engine/io/files.ts';
import {
  openSafetensors,
  writeSafetensors,
  type TensorData,
  type TensorEntry,
  type TensorFile,
} from '../engine/io/safetensors.ts';
import {
  fullLayers,
  type HeadKind,
  type LayerShape,
  type LinearLayer,
  type ModelConfig,
} from '../models/architecture.ts';
import { baseWeightShapes } from '../models/base-model.ts';
import { loadConfig } from '../models/config.ts';
import { frozenLinears, headShapes } from '../models/heads.ts';
import { isStoredInOut, storedName, transpose } from '../models/weights.ts';
import { writeHubAdapter } from '../peft/adapterhub/files.ts';
import { configFor } from '../peft/config.ts';
import { writeAdapter, type AdapterTensor } from '../peft/files.ts';
import { factorShape, valueOf, type Direction, type PeftMethod, type PeftModule, type Values } from '../peft/module.ts';
import { expandModule, expandWeight, zeroCutColumns } from '../pruning/densify.ts';
import { keepAll } from '../pruning/plan.ts';
import { keptShapes, type LayerKeep } from '../pruning/surgery.ts';
import { readAdapterValues, readPlanFor } from './artefact.ts';
import { keptLayers } from './stages.ts';

/** New values of some of a checkpoint's weights, by their Hugging Face names; f32, matrices [out, in] here whatever the file has. */
type Rewrite = (
  name: string,
  weight: () => Promise<Float32Array>,
  shape: readonly number[],
) => Promise<Float32Array | undefined>;

/** A PEFT folder at full size. */
interface Dense {
  readonly config: ModelConfig;
  readonly keep: readonly LayerKeep[];
  readonly method: PeftMethod;
  readonly modules: ReadonlyMap<string, { readonly module: PeftModule; readonly values: Values }>;
  readonly adapter: Awaited<ReturnType<typeof readAdapterValues>>;
  /** Of the task head. */
  readonly head: ReadonlyMap<string, Shape>;
  /** Weights of the base that were trained along, by name. */
  readonly trained: ReadonlySet<string>;
}

async function loadDense(modelDir: string, adapterDir: string): Promise<Dense> {
  const config = await loadConfig(modelDir);
  const plan = await readPlanFor(adapterDir, await fingerprintCheckpoint(modelDir), config);
  const adapter = await readAdapterValues(adapterDir, config);
  const keep = plan ? keptLayers(plan) : keepAll(config);
  const linears = (layers: readonly LayerShape[]): ReadonlyMap<string, LinearLayer> =>
    new Map(frozenLinears(config, layers, adapter.head).map((linear) => [linear.name, linear]));
  const [full, left] = [linears(fullLayers(config)), linears(keptShapes(config, keep))];
  const modules = adapter.method.modules.map((module) => {
    const [linear, sliced] = [full.get(module.name), left.get(module.name)];
    if (!linear || !sliced) throw new UserError(`${adapterDir}: module "${module.name}" is not in the base model`);
    if (!adapter.method.attached) return { module, values: adapter.values };
    const { inFeatures, outFeatures } = sliced;
    return expandModule(config, keep, adapter.method, { ...module, inFeatures, outFeatures }, adapter.values, linear);
  });
  const factors = new Set(adapter.method.modules.flatMap((m) => adapter.method.factors(m).map(({ name }) => name)));
  const head = headShapes(config, adapter.head, adapter.labels.length);
  const trained = [...adapter.values.keys()].filter((name) => !factors.has(name) && !head.has(name));
  return {
    config,
    keep,
    method: adapter.method,
    modules: new Map(modules.map((m) => [m.module.name, m])),
    adapter,
    head,
    trained: new Set(trained),
  };
}

/**
 * Writes base + PEFT modules as one checkpoint with its classification head; a pruned result at full size with zeroed columns.
 * @param unmerge takes the adapter out of a merged checkpoint instead
 * @throws UserError for adapters, whose non-linearity has no place in a linear layer, and for what cannot be taken out again
 */
export async function mergeAdapter(modelDir: string, adapterDir: string, out: string, unmerge = false): Promise<void> {
  if (unmerge && (await exists(join(adapterDir, 'plan.json')))) {
    throw new UserError(
      `${adapterDir}: a pruned result cannot be unmerged: what was cut is gone; use the original base`,
    );
  }
  const dense = await loadDense(modelDir, adapterDir);
  const { method, head, adapter, trained } = dense;
  if (!method.merge) {
    throw new UserError(`${adapterDir}: bottleneck adapters cannot be merged: they are not linear; use export`);
  }
  if (unmerge && trained.size > 0) {
    const [name] = trained;
    throw new UserError(
      `${adapterDir}: ${name} was trained whole and cannot be taken out again; use the original base`,
    );
  }
  const direction: Direction = unmerge ? 'unmerge' : 'merge';
  const rewrite: Rewrite = async (name, read, shape) => {
    if (!unmerge && head.has(name)) return adapter.values.get(name);
    const whole = await denseWeight(dense, name, read, shape);
    const [, module, kind] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
    const found = dense.modules.get(module ?? '');
    if (!found) return whole;
    if (kind === 'weight') return method.merge?.(found.module, found.values, whole ?? (await read()), direction);
    return method.mergeBias ? method.mergeBias(found.module, found.values, whole ?? (await read()), direction) : whole;
  };
  const added = unmerge ? [] : [...head].filter(([name]) => adapter.values.has(name));
  const extra = added.map(([name, shape]): TensorEntry => ({
    name,
    dtype: 'F32',
    shape,
    data: adapter.values.get(name) as Float32Array,
  }));
  await rewriteCheckpoint(modelDir, out, dense, rewrite, extra);
  const { labels } = adapter;
  if (!unmerge && labels.length > 0) await writeJson(join(out, 'config.json'), classifierConfig(dense.config, labels));
}

/** A weight at full size with zeros for what is cut, or as trained along; undefined where it is the checkpoint's own. */
async function denseWeight(
  { config, keep, adapter, trained }: Pick<Dense, 'config' | 'keep' | 'adapter' | 'trained'>,
  name: string,
  read: () => Promise<Float32Array>,
  shape: readonly number[],
): Promise<Float32Array | undefined> {
  if (trained.has(name)) return expandWeight(config, keep, name, adapter.values.get(name) as Float32Array, shape);
  if (!name.endsWith('.weight') || shape.length !== 2) return undefined;
  return zeroCutColumns(config, keep, name.replace(/\.weight$/, ''), await read(), shape[1] ?? 1);
}

/** Writes `base/`, a full-size checkpoint with zeroed columns, and `adapter/`: a PEFT folder with rank and alpha patterns, or an AdapterHub folder. */
export async function exportDense(modelDir: string, adapterDir: string, out: string): Promise<void> {
  const dense = await loadDense(modelDir, adapterDir);
  const { config, method, modules, adapter, head, trained } = dense;
  const shapes = new Map<string, readonly number[]>();
  const rewrite: Rewrite = async (name, read, shape) => {
    if (trained.has(name)) shapes.set(name, shape);
    return denseWeight({ ...dense, trained: new Set() }, name, read, shape);
  };
  await rewriteCheckpoint(modelDir, join(out, 'base'), dense, rewrite, []);
  const tensors = new Map<string, AdapterTensor>();
  for (const { module, values } of modules.values()) {
    for (const factor of method.factors(module)) {
      tensors.set(factor.name, { shape: factorShape(factor, module), data: valueOf(values, factor.name) });
    }
  }
  for (const [name, shape] of head) {
    const data = adapter.values.get(name);
    if (data) tensors.set(name, { shape, data });
  }
  for (const [name, shape] of shapes) {
    tensors.set(name, { shape, data: expandWeight(config, dense.keep, name, valueOf(adapter.values, name), shape) });
  }
  const plain = [...modules.values()].map(({ module }) => module);
  await mkdir(join(out, 'adapter'), { recursive: true });
  const exported = { config: configFor(plain, adapter.peft), modules: plain, tensors };
  if (adapter.peft.method === 'bottleneck') {
    await writeHubAdapter(join(out, 'adapter'), config, exported, adapter.labels, 'light_peft');
  } else await writeAdapter(join(out, 'adapter'), exported);
  if (adapter.labels.length > 0) await writeJson(join(out, 'adapter', 'labels.json'), adapter.labels);
}

/** Copies a model folder with some weights rewritten, one tensor in memory at a time. */
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
      const rewritten = (): Promise<Float32Array | undefined> =>
        rewriteStored(file, stored, isStoredInOut(config, name), (weight, own) => rewrite(name, weight, own));
      entries.push(
        isFloat && (await rewritten())
          ? { name: stored, shape, dtype: 'F32', data: async () => (await rewritten()) as Float32Array }
          : { name: stored, shape, dtype, data: () => readTyped(file, stored) },
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

/** A rewritten weight as its file holds it. @param storedInOut whether that is [in, out] */
async function rewriteStored(
  file: TensorFile,
  name: string,
  storedInOut: boolean,
  rewrite: (weight: () => Promise<Float32Array>, shape: readonly number[]) => Promise<Float32Array | undefined>,
): Promise<Float32Array | undefined> {
  const { shape } = file.info(name);
  const [rows = 1, cols = 1] = shape;
  if (!storedInOut) return rewrite(() => file.readFloat32(name), shape);
  const changed = await rewrite(async () => transpose(await file.readFloat32(name), rows, cols), [cols, rows]);
  return changed && transpose(changed, cols, rows);
}

function weightNames(config: ModelConfig, head: HeadKind): string[] {
  const linears = frozenLinears(config, fullLayers(config), head);
  const names = linears.flatMap(({ name }) => [`${name}.weight`, `${name}.bias`]);
  return [...new Set([...baseWeightShapes(config).keys(), ...names])];
}

/** A tensor as the file has it. */
async function readTyped(file: TensorFile, name: string): Promise<TensorData> {
  const { dtype } = file.info(name);
  if (dtype === 'F32') return file.readFloat32(name);
  if (dtype === 'F16') return file.readFloat16(name);
  const { buffer, byteOffset, byteLength } = await file.read(name);
  if (dtype === 'BF16') return new Uint16Array(buffer, byteOffset, byteLength / 2);
  if (dtype === 'I64') return new BigInt64Array(buffer, byteOffset, byteLength / 8);
  if (dtype === 'I32') return new Int32Array(buffer, byteOffset, byteLength / 4);
  throw new UserError(`${file.path}: tensor "${name}": dtype ${dtype} is not supported`);
}

function classifierConfig({ raw, architecture }: ModelConfig, labels: readonly string[]): Record<string, unknown> {
  return {
    ...raw,
    architectures: [`${architecture.className}ForSequenceClassification`],
    id2label: Object.fromEntries(labels.map((label, i) => [String(i), label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
  };
}
