/** Room: peft-model. Results as plain Hugging Face folders: `merge` adapters into the base, `export` a pruned result at full size. */
import { copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { sizeOf, type Shape } from '../engine/graph/shape.ts';
import { exists, writeJson } from '../engine/io/files.ts';
import { writeSafetensors, type TensorEntry, type TensorFile } from '../engine/io/safetensors.ts';
import {
  fullLayers,
  type HeadKind,
  type LayerShape,
  type LinearLayer,
  type ModelConfig,
} from '../models/architecture.ts';
import { className, nameInClass } from '../models/config.ts';
import { baseWeightShapes, frozenWeightShapes, inspectCheckpoint } from '../models/base-model.ts';
import { Checkpoint } from '../models/checkpoint.ts';
import { openWeights } from '../models/resized-file.ts';
import { adaptableLayers, frozenHeadShapes, headOf, headShapes } from '../models/heads.ts';
import { isStoredInOut, storedName, transpose } from '../models/weights.ts';
import { writeHubAdapter } from '../peft/adapterhub/files.ts';
import { configFor } from '../peft/config.ts';
import { writeAdapter, type AdapterTensor } from '../peft/files.ts';
import {
  factorShape,
  valueOf,
  type Direction,
  type PeftMethod,
  type PeftModule,
  type StateDict,
} from '../peft/module.ts';
import { toStored } from '../peft/trained-whole.ts';
import { expandModule, expandWeight, zeroCutColumns } from '../pruning/full-size.ts';
import { keepAll, type LayerKeep } from '../pruning/plan.ts';
import { keptShapes, moduleSlices } from '../pruning/slice.ts';
import { checkpointOf, readPlanFor, readState } from './pretrained.ts';
import { tiedApart, type PeftModelState } from './state.ts';
import { writeLabels } from './label-file.ts';

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
  readonly modules: ReadonlyMap<string, { readonly module: PeftModule; readonly values: StateDict }>;
  readonly adapter: PeftModelState & { readonly method: PeftMethod };
  /** Of the task head. */
  readonly head: ReadonlyMap<string, Shape>;
  /** Weights of the base that were trained along, with their shapes in the checkpoint. */
  readonly trained: ReadonlyMap<string, Shape>;
}

async function loadDense(modelDir: string, adapterDir: string): Promise<Dense> {
  const { config: saved, fingerprint } = await inspectCheckpoint(modelDir);
  const original = new Checkpoint(modelDir, saved, fingerprint);
  const plan = await readPlanFor(adapterDir, original);
  const adapter = await readState(adapterDir, original);
  const { config } = checkpointOf(original, adapter.values);
  const keep = plan?.layers ?? keepAll(config);
  const linears = (layers: readonly LayerShape[]): ReadonlyMap<string, LinearLayer> =>
    new Map(adaptableLayers(config, layers, adapter.head).map((linear) => [linear.name, linear]));
  const [full, left] = [linears(fullLayers(config)), linears(keptShapes(config, keep))];
  const modules = adapter.method.modules.map((module) => {
    const [linear, sliced] = [full.get(module.name), left.get(module.name)];
    if (!linear || !sliced) throw new UserError(`${adapterDir}: module "${module.name}" is not in the base model`);
    if (!adapter.method.adaptsLinear) return { module, values: adapter.values };
    const { inFeatures, outFeatures } = sliced;
    return expandModule(config, keep, adapter.method, { ...module, inFeatures, outFeatures }, adapter.values, linear);
  });
  const factors = new Set(adapter.method.modules.flatMap((m) => adapter.method.factors(m).map(({ name }) => name)));
  const head = headShapes(config, adapter.head, adapter.labels.length);
  const shapes = frozenWeightShapes(config, adapter.head);
  const whole = [...adapter.values.keys()].filter((name) => !factors.has(name) && !head.has(name));
  const trained = whole.map((name): [string, Shape] => {
    const shape = shapes.get(name);
    const fits = plan !== undefined || (shape && sizeOf(shape) === adapter.values.get(name)!.length);
    if (shape && fits) return [name, shape];
    throw new UserError(`${adapterDir}: tensor "${name}" ${shape ? 'has another size' : 'is not'} in the base model`);
  });
  return {
    config,
    keep,
    method: adapter.method,
    modules: new Map(modules.map((m) => [m.module.name, m])),
    adapter,
    head,
    trained: new Map(trained),
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
    const [name] = trained.keys();
    throw new UserError(
      `${adapterDir}: ${name} was trained whole and cannot be taken out again; use the original base`,
    );
  }
  const direction: Direction = unmerge ? 'unmerge' : 'merge';
  const whole = denseRewrite(dense);
  const rewrite: Rewrite = (name, shape) => {
    if (!unmerge && head.has(name)) {
      const value = adapter.values.get(name);
      return value && (() => value);
    }
    const change = whole(name, shape);
    const [, module, kind] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
    const found = dense.modules.get(module ?? '');
    if (!found) return change;
    const own = (weight: Float32Array): Float32Array => change?.(weight) ?? weight;
    if (kind === 'weight')
      return (weight) => method.merge?.(found.module, found.values, own(weight), direction) ?? weight;
    if (!method.mergeBias) return change;
    return (bias) => method.mergeBias?.(found.module, found.values, own(bias), direction) ?? bias;
  };
  // The checkpoint may lack the head, and frozen weights of it that were trained along.
  const saved = [...head, ...frozenHeadShapes(dense.config, adapter.head)];
  const added = unmerge ? [] : saved.filter(([name]) => adapter.values.has(name));
  const extra = added.map(([name, shape]): TensorEntry => ({
    name,
    dtype: 'F32',
    shape,
    data: adapter.values.get(name)!,
  }));
  const raw = unmerge ? dense.config.raw : headConfig(dense.config, adapter);
  await rewriteCheckpoint(modelDir, out, dense, rewrite, { extra, ...untied(dense, raw, method.modules) });
}

/**
 * Names and configuration of a model whose embedding and head may have become two matrices, or are two in its file alone.
 * @param merged modules that become part of their weights
 */
function untied(
  { config, adapter }: Dense,
  raw: ModelConfig['raw'],
  merged: readonly PeftModule[] = [],
): Pick<Additions, 'apart' | 'raw'> {
  const { vocabulary } = headOf(config, adapter.head);
  const { tied, apart } = tiedApart(config, adapter);
  const isMerged = merged.some(({ name }) => name === tied?.scores || name === tied?.words);
  if (!vocabulary || !(vocabulary.untiedByFile || apart || isMerged)) return { apart: [], raw };
  const { module } = vocabulary;
  return { apart: [`${module}.weight`, `${module}.bias`], raw: { ...raw, tie_word_embeddings: false } };
}

/** Weights at full size: with zeros for what a plan cuts, or as trained along. */
function denseRewrite({ config, keep, adapter, trained }: Dense): Rewrite {
  const slices = moduleSlices(config, keep);
  return (name, shape) => {
    if (trained.has(name)) return () => expandWeight(config, keep, name, valueOf(adapter.values, name), shape);
    const module = name.replace(/\.weight$/, '');
    if (!name.endsWith('.weight') || !slices.get(module)?.cols) return undefined;
    return (weight) => zeroCutColumns(config, keep, module, weight, shape[1] ?? 1) ?? weight;
  };
}

/** Writes `base/`, a full-size checkpoint with zeroed columns, and `adapter/`: a PEFT folder with rank and alpha patterns, or an AdapterHub folder. */
export async function exportDense(modelDir: string, adapterDir: string, out: string): Promise<void> {
  const dense = await loadDense(modelDir, adapterDir);
  const { config, method, modules, adapter, head, trained } = dense;
  // An AdapterHub folder has no place for weights that were trained whole: the base has them then.
  const isHub = adapter.peft.method === 'bottleneck';
  const rewrite = denseRewrite(isHub ? dense : { ...dense, trained: new Map() });
  const names = isHub ? untied(dense, config.raw) : { apart: [], raw: config.raw };
  await rewriteCheckpoint(modelDir, join(out, 'base'), dense, rewrite, { extra: [], ...names });
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
  for (const [name, shape] of trained) {
    tensors.set(name, { shape, data: expandWeight(config, dense.keep, name, valueOf(adapter.values, name), shape) });
  }
  const plain = [...modules.values()].map(({ module }) => module);
  const exported = { config: configFor(plain, adapter.peft), modules: plain, tensors };
  if (isHub) {
    await writeHubAdapter(join(out, 'adapter'), config, exported, adapter, 'light_peft');
  } else await writeAdapter(join(out, 'adapter'), toStored(exported, config, adapter.head));
  if (adapter.labels.length > 0) await writeLabels(join(out, 'adapter', 'labels.json'), adapter.labels);
}

/** What a rewritten checkpoint has beside its weights. */
interface Additions {
  /** Tensors that it may lack. */
  readonly extra: readonly TensorEntry[];
  /** Weights that had another's matrix, or a bias of another name, and get their own. */
  readonly apart: readonly string[];
  /** Its `config.json`. */
  readonly raw: ModelConfig['raw'];
}

/** Copies a model folder with some weights rewritten: in memory is one of those at a time, and pieces of the others. */
async function rewriteCheckpoint(
  modelDir: string,
  out: string,
  { config, adapter }: Pick<Dense, 'config' | 'adapter'>,
  rewrite: Rewrite,
  { extra, apart, raw }: Additions,
): Promise<void> {
  const file = await openWeights(modelDir, config);
  const entries: TensorEntry[] = [...extra];
  try {
    const canonical = canonicalNames(file, config, adapter.head);
    const entryOf = (stored: string, name: string, written: string): TensorEntry => {
      const { shape, dtype } = file.info(stored);
      const turned = isStoredInOut(config, name);
      const change = dtype in FLOATS ? rewrite(name, turned ? [...shape].reverse() : shape) : undefined;
      return change
        ? { name: written, shape, dtype: 'F32', data: () => changed(file, stored, change, turned) }
        : { name: written, shape, dtype, data: () => file.finiteChunks(stored) };
    };
    const replaced = new Set(extra.map(({ name }) => name));
    for (const name of apart) {
      const stored = storedName(file, name, config);
      if (stored !== undefined && stored !== name && !replaced.has(name)) entries.push(entryOf(stored, name, name));
    }
    // A head beside a bare model's names, or those of another class, is a damaged file to transformers.
    const renames = entries.length > 0;
    const writtenOf = (stored: string, name: string): string => {
      const isBare = !stored.startsWith(config.architecture.prefix);
      return stored === otherBias || (isBare && !renames) ? stored : nameInClass(config, adapter.head, name);
    };
    const otherBias = headOf(config, adapter.head).vocabulary?.otherBias;
    for (const stored of file.names) {
      const name = canonical.get(stored) ?? stored;
      if (stored === otherBias || !replaced.has(name)) entries.push(entryOf(stored, name, writtenOf(stored, name)));
    }
    await writeSafetensors(join(out, 'model.safetensors'), entries, { format: 'pt' });
  } finally {
    await file.close();
  }
  for (const name of await readdir(modelDir)) {
    const isText = /\.(json|txt)$/.test(name) && name !== 'model.safetensors.index.json';
    if (isText) await copyFile(join(modelDir, name), join(out, name));
  }
  await writeJson(join(out, 'config.json'), { ...raw, ...dtypeKeys(raw, entries) });
}

/** What transformers calls the dtypes of floating-point weights, the widest first. */
const FLOATS = { F64: 'float64', F32: 'float32', BF16: 'bfloat16', F16: 'float16' };

/** The dtype that a file's weights are to be loaded in, so that none is rounded, under the keys that name it. */
function dtypeKeys(raw: ModelConfig['raw'], entries: readonly TensorEntry[]): Record<string, string> {
  const found = Object.keys(FLOATS).filter((dtype) => entries.some((entry) => entry.dtype === dtype));
  const [widest] = found;
  if (widest === undefined) return {};
  const isMixed16 = widest === 'BF16' && found.length > 1;
  const name = FLOATS[isMixed16 ? 'F32' : (widest as keyof typeof FLOATS)];
  const keys = ['dtype', 'torch_dtype'].filter((key) => raw[key] !== undefined);
  return Object.fromEntries((keys.length === 0 && found.length > 1 ? ['dtype'] : keys).map((key) => [key, name]));
}

/** The names here of what a file holds. */
function canonicalNames(file: TensorFile, config: ModelConfig, head: HeadKind): Map<string, string> {
  const names = new Map<string, string>();
  for (const name of weightNames(config, head)) {
    const stored = storedName(file, name, config);
    // A matrix that two modules share is the embedding's.
    if (stored !== undefined && !names.has(stored)) names.set(stored, name);
  }
  return names;
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
  const linears = adaptableLayers(config, fullLayers(config), head);
  const names = linears.flatMap(({ name }) => [`${name}.weight`, `${name}.bias`]);
  return [...new Set([...baseWeightShapes(config).keys(), ...names])];
}

/** With the class and the class names of the head; of a number to predict there is one. */
function headConfig(config: ModelConfig, { head, labels }: Dense['adapter']): Record<string, unknown> {
  return {
    ...config.raw,
    architectures: [className(config, head)],
    ...(labels.length === 1 && { problem_type: 'regression' }),
    ...(labels.length > 0 && {
      id2label: Object.fromEntries(labels.map((label, i) => [String(i), label])),
      label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
    }),
  };
}
