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
import { factorNames, parsePeftConfig, peftConfigJson, rankFor, scalingFor, type PeftConfig } from './config.ts';
import type { PeftModule } from './module.ts';
import { isSavedTensor, matchesTarget } from './targets.ts';

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
  /** Factors (`….lora_A.weight` [ranks, in], `….lora_B.weight` [out, ranks]) and the modules trained whole. */
  readonly tensors: ReadonlyMap<string, AdapterTensor>;
}

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const PREFIX = 'base_model.model.';

/**
 * Reads an adapter folder.
 * @throws UserError where a file is missing or damaged, a feature is not supported, or tensors and configuration disagree
 */
export async function readAdapter(dir: string): Promise<Adapter> {
  const configPath = join(dir, CONFIG);
  const config = parsePeftConfig(await readJson(configPath, z.unknown()), configPath);
  const file = await openWeights(dir);
  try {
    const tensors = new Map<string, AdapterTensor>();
    for (const key of file.names) tensors.set(parameterName(key, file.path), await readTensor(file, key));
    return { config, modules: findModules(tensors, config, file.path), tensors };
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
  if (key.startsWith(PREFIX)) return key.slice(PREFIX.length);
  throw new UserError(`${file}: tensor "${key}": expected a name that begins with "${PREFIX}"`);
}

/** The modules whose factors are there; every other tensor must be of a module trained whole. */
function findModules(tensors: Adapter['tensors'], config: PeftConfig, file: string): PeftModule[] {
  const suffixes = Object.values(factorNames('', config.method));
  const names = new Set<string>();
  for (const name of tensors.keys()) {
    const suffix = suffixes.find((s) => name.endsWith(s));
    if (suffix !== undefined) names.add(name.slice(0, -suffix.length));
    else if (!isSavedTensor(name, config.modulesToSave)) {
      const expected = `a factor (${suffixes.map((s) => `*${s}`).join(', ')}) or part of modules_to_save`;
      throw new UserError(`${file}: tensor "${PREFIX}${name}" is not supported, expected ${expected}`);
    }
  }
  if (names.size === 0 && config.targetModules.length > 0) {
    throw new UserError(`${file}: no factors, expected tensors such as "${PREFIX}*${suffixes[0]!}"`);
  }
  return [...names].map((name) => moduleOf(name, tensors, config, file));
}

/** A module as its factors' shapes and the configuration describe it. */
function moduleOf(name: string, tensors: Adapter['tensors'], config: PeftConfig, file: string): PeftModule {
  const ranks = rankFor(name, config);
  const factors = factorNames(name, config.method);
  const shapeOf = (parameter: string): readonly number[] => {
    const tensor = tensors.get(parameter);
    if (tensor) return tensor.shape;
    throw new UserError(`${file}: tensor "${PREFIX}${parameter}" is missing; both factors of a module are needed`);
  };
  const [down, up] = [shapeOf(factors.down), shapeOf(factors.up)];
  const refuse = (parameter: string, shape: readonly number[], expected: string): never => {
    const found = `shape [${shape.join(', ')}], expected ${expected} by ${CONFIG}`;
    throw new UserError(`${file}: tensor "${PREFIX}${parameter}": ${found}`);
  };
  if (down.length !== 2 || down[0] !== ranks) refuse(factors.down, down, `[${ranks}, in]`);
  if (up.length !== 2 || up[1] !== ranks) refuse(factors.up, up, `[out, ${ranks}]`);
  if (!matchesTarget(name, config)) {
    throw new UserError(`${file}: module "${name}" has factors, but is not in target_modules of ${CONFIG}`);
  }
  return { name, inFeatures: down[1]!, outFeatures: up[0]!, ranks, scaling: scalingFor(name, config) };
}

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
  const entries = [...tensors].map(([name, { shape, data }]) => ({
    name: PREFIX + name,
    dtype: 'F32' as const,
    shape,
    data,
  }));
  await writeAtomically([
    { path: join(dir, WEIGHTS), write: safetensorsWriter(entries, { format: 'pt' }) },
    { path: join(dir, CONFIG), write: (file) => file.writeFile(jsonText(peftConfigJson(config))) },
  ]);
}

/** Scalings may differ by the rounding of α = scaling·r. */
function isSame(written: PeftModule | undefined, module: PeftModule): boolean {
  if (!written) return false;
  const { ranks, inFeatures, outFeatures, scaling } = module;
  const sameSizes = [written.ranks - ranks, written.inFeatures - inFeatures, written.outFeatures - outFeatures];
  return sameSizes.every((d) => d === 0) && Math.abs(written.scaling - scaling) <= 1e-12 * Math.abs(scaling);
}
