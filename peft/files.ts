/**
 * Room: peft. Adapters on disk, as Hugging Face PEFT 0.21 lays them out: a folder of `adapter_config.json` and
 * `adapter_model.safetensors`, whose keys are parameter names behind `base_model.model.`.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { jsonText, readJson, writeAtomically } from '../engine/io/files.ts';
import { openSafetensors, safetensorsWriter, type TensorFile } from '../engine/io/safetensors.ts';
import { moduleFor, parsePeftConfig, peftConfigJson, type PeftConfig } from './config.ts';
import { methodOf } from './config.ts';
import type { Axis, PeftModule } from './module.ts';
import { isInSaved, matchesTarget } from './targets.ts';

/** f32 values, row-major. */
export interface AdapterTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** An adapter: what it is, its modules, and every value by parameter name. */
export interface Adapter {
  readonly config: PeftConfig;
  /** In the order of the file. */
  readonly modules: readonly PeftModule[];
  /** Factors (`….lora_A.weight` [ranks, in], `….lora_B.weight` [out, ranks] …), modules trained whole, trained biases. */
  readonly tensors: ReadonlyMap<string, AdapterTensor>;
  /** Weights of the base that PEFT keeps in the folder beside modules on embeddings; they change nothing. */
  readonly baseWeights?: ReadonlyMap<string, AdapterTensor>;
  /** Class names by index, where the folder has them in a file of its format. */
  readonly labels?: readonly string[];
}

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const PREFIX = 'base_model.model.';

/**
 * Reads an adapter folder.
 * @param whole names of weights that may be there whole though no `modules_to_save` names them
 * @throws UserError where a file is missing or damaged, a feature is not supported, or tensors and configuration disagree
 */
export async function readAdapter(dir: string, whole: ReadonlySet<string> = new Set()): Promise<Adapter> {
  const configPath = join(dir, CONFIG);
  const config = parsePeftConfig(await readJson(configPath, z.unknown()), configPath);
  const file = await openWeights(dir);
  try {
    const tensors = new Map<string, AdapterTensor>();
    const baseWeights = new Map<string, AdapterTensor>();
    for (const key of file.names.filter((one) => !isCopy(one, file))) {
      const name = parameterName(key, file.path);
      const found = await readTensor(file, key);
      if (name.endsWith(BASE_LAYER_WEIGHT)) baseWeights.set(name.replace(BASE_LAYER_WEIGHT, '.weight'), found);
      else tensors.set(name, found);
    }
    const modules = findModules(tensors, config, file.path, whole);
    return { config, modules, tensors, ...(baseWeights.size > 0 && { baseWeights }) };
  } finally {
    await file.close();
  }
}

async function openWeights(dir: string): Promise<TensorFile> {
  const path = join(dir, WEIGHTS);
  const isFile = (name: string): Promise<boolean> =>
    stat(join(dir, name)).then(
      (found) => found.isFile(),
      () => false,
    );
  if (!(await isFile(WEIGHTS)) && (await isFile('adapter_model.bin'))) {
    throw new UserError(`${path}: missing, only adapter_model.bin is there; save it again with a PEFT from 0.6 on`);
  }
  return openSafetensors(path);
}

async function readTensor(file: TensorFile, key: string): Promise<AdapterTensor> {
  return { shape: file.info(key).shape, data: await file.readFloat32(key) };
}

function parameterName(key: string, file: string): string {
  if (key.startsWith(PREFIX)) return key.slice(PREFIX.length).replace(BASE_LAYER_BIAS, '.bias');
  throw new UserError(`${file}: tensor "${key}": expected a name that begins with "${PREFIX}"`);
}

/** The modules whose factors are there; every other tensor must be a bias or of a module trained whole. */
function findModules(
  tensors: Adapter['tensors'],
  config: PeftConfig,
  file: string,
  whole: ReadonlySet<string> = new Set(),
): PeftModule[] {
  const suffixesOf = (kind: Pick<PeftModule, 'isEmbedding'>): string[] =>
    methodOf(config, [])
      .factors({ ...UNKNOWN, ...kind, name: '' })
      .map(({ name }) => name);
  const suffixes = suffixesOf({});
  const tables = config.method === 'lora' ? suffixesOf({ isEmbedding: true }) : [];
  const modules = new Map<string, Pick<PeftModule, 'isEmbedding'>>();
  for (const name of tensors.keys()) {
    const suffix = suffixes.find((s) => name.endsWith(s));
    const table = tables.find((s) => name.endsWith(s));
    if (suffix !== undefined) modules.set(name.slice(0, -suffix.length), {});
    else if (table !== undefined) modules.set(name.slice(0, -table.length), { isEmbedding: true });
    else if (!whole.has(name) && !isTrainedWhole(name, config)) {
      const expected = `a factor (${[...suffixes, ...tables].map((s) => `*${s}`).join(', ')}) or part of modules_to_save`;
      throw new UserError(`${file}: tensor "${PREFIX}${name}" is not supported, expected ${expected}`);
    }
  }
  if (modules.size === 0 && config.targetModules?.length !== 0) {
    throw new UserError(`${file}: no factors, expected tensors such as "${PREFIX}*${suffixes[0]!}"`);
  }
  return [...modules].map(([name, kind]) => moduleOf({ name, ...kind }, tensors, config, file));
}

/** Sizes that a module has before its factors say. */
const UNKNOWN = { inFeatures: 0, outFeatures: 0, ranks: 0, scaling: 1 };

/** Whether a tensor that is no factor may be there: part of `modules_to_save`, or a bias where they train. */
function isTrainedWhole(name: string, config: PeftConfig): boolean {
  const biases = (config.method === 'lora' || config.method === 'dora') && config.bias !== 'none';
  return isInSaved(name, config.modulesToSave) || (biases && name.endsWith('.bias'));
}

/** A module as its factors' shapes and the configuration describe it. */
function moduleOf(
  { name, isEmbedding }: Pick<PeftModule, 'name' | 'isEmbedding'>,
  tensors: Adapter['tensors'],
  config: PeftConfig,
  file: string,
): PeftModule {
  if (config.targetModules !== undefined && !matchesTarget(name, config)) {
    throw new UserError(`${file}: module "${name}" has factors, but is not in target_modules of ${CONFIG}`);
  }
  const module = moduleFor({ ...UNKNOWN, name, ...(isEmbedding && { isEmbedding }) }, config);
  const sizes: Record<Axis, number | undefined> = { rank: module.ranks, one: 1, in: undefined, out: undefined };
  for (const factor of methodOf(config, [module]).factors(module)) {
    const shape = tensors.get(factor.name)?.shape;
    if (!shape) {
      const key = PREFIX + factor.name;
      throw new UserError(`${file}: tensor "${key}" is missing; all factors of a module are needed`);
    }
    const fits = factor.axes.every((axis, i) => (sizes[axis] ?? shape[i]) === shape[i]);
    if (!fits || shape.length !== factor.axes.length) {
      const expected = factor.axes.map((axis) => sizes[axis] ?? axis).join(', ');
      const found = `shape [${shape.join(', ')}], expected [${expected}] by ${CONFIG}`;
      throw new UserError(`${file}: tensor "${PREFIX}${factor.name}": ${found}`);
    }
    factor.axes.forEach((axis, i) => (sizes[axis] = shape[i]));
  }
  return { ...module, inFeatures: sizes.in ?? 0, outFeatures: sizes.out ?? 0 };
}

/**
 * PEFT writes some weights three times: under the module's name, and as a saved module holds them, which may name the adapter. Biases with
 * `bias="all"`, the vocabulary's matrices of a model that was resized; with DoRA on such a matrix, its magnitudes twice.
 */
const COPIES = [
  /\.(original_module|modules_to_save)(?=\.)/,
  /\.(original_module|modules_to_save)\.[^.]+(?=\.)/,
  /(?<=\.lora_magnitude_vector)\.weight$/,
];

function isCopy(key: string, file: TensorFile): boolean {
  const plain = COPIES.map((part) => key.replace(part, ''));
  return plain.some((one) => one !== key && file.has(one));
}

/** PEFT keeps the layer that a module wraps under `base_layer`: trained biases of such layers have it in their keys. */
const BASE_LAYER_BIAS = '.base_layer.bias';
const BASE_LAYER_WEIGHT = '.base_layer.weight';

/**
 * Writes an adapter folder that PEFT reads; both files or none.
 * @throws Error where modules, tensors and configuration disagree: the files would mean something else
 */
export async function writeAdapter(dir: string, { config, modules, tensors }: Adapter): Promise<void> {
  const described = new Map(findModules(tensors, config, dir).map((module) => [module.name, module]));
  const wrong = modules.find((module) => !isSame(described.get(module.name), module));
  if (wrong || described.size !== modules.length) {
    throw new Error(`adapter: ${wrong?.name ?? 'a module'} is not what the configuration and the tensors say`);
  }
  const wrapped = new Set(modules.map((module) => `${module.name}.bias`));
  const entries = [...tensors].map(([name, { shape, data }]) => ({
    name: PREFIX + (wrapped.has(name) ? name.replace(/\.bias$/, BASE_LAYER_BIAS) : name),
    dtype: 'F32' as const,
    shape,
    data,
  }));
  await writeAtomically([
    { path: join(dir, WEIGHTS), write: safetensorsWriter(entries, { format: 'pt' }) },
    { path: join(dir, CONFIG), write: (file) => file.writeFile(jsonText(peftConfigJson(config))) },
  ]);
}

/** Scalings may differ by the rounding of α = scaling·r; sizes that the factors do not say are 0. */
function isSame(written: PeftModule | undefined, module: PeftModule): boolean {
  if (!written || written.isEmbedding !== module.isEmbedding) return false;
  const { ranks, inFeatures, outFeatures, scaling } = module;
  const isEqual = (size: number, other: number): boolean => size === 0 || size === other;
  const sameSizes = isEqual(written.inFeatures, inFeatures) && isEqual(written.outFeatures, outFeatures);
  return written.ranks === ranks && sameSizes && Math.abs(written.scaling - scaling) <= 1e-12 * Math.abs(scaling);
}
