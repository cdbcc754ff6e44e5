/**
 * Room: peft/adapterhub. Folders of AdapterHub's `adapters` library: `adapter_config.json` with `adapter.safetensors`, and the task head
 * in `head_config.json` with `model_head.safetensors`. Keys name the adapter: `….output.adapters.NAME.adapter_down.0.weight`.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { exists, jsonText, readJson, writeAtomically } from '../../engine/io/files.ts';
import { openSafetensors, safetensorsWriter, type TensorEntry, type TensorFile } from '../../engine/io/safetensors.ts';
import { linearName, type HeadKind, type ModelConfig } from '../../models/architecture.ts';
import { className } from '../../models/config.ts';
import { storedName } from '../../models/weights.ts';
import { Bottleneck, bottleneckNames } from '../bottleneck/bottleneck.ts';
import { isBottleneck } from '../bottleneck/config.ts';
import { moduleFor } from '../config.ts';
import type { Adapter, AdapterTensor } from '../files.ts';
import { factorShape, type PeftModule } from '../module.ts';
import { savedModule, taskKeys } from '../tasks.ts';
import { hubConfigJson, layerSizes, parseHubConfig } from './config.ts';
import { headFiles, readHubHead } from './head.ts';

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter.safetensors';

type Role = 'attentionOutput' | 'down';
const ROLES: readonly Role[] = ['attentionOutput', 'down'];

/** Whether a folder's configuration is AdapterHub's: the adapter's own keys lie under `config`. */
export async function isHubFolder(dir: string): Promise<boolean> {
  const path = join(dir, CONFIG);
  if (!(await exists(path))) return false;
  const keys = await readJson(
    path,
    z.looseObject({ peft_type: z.unknown().optional(), config: z.unknown().optional() }),
  );
  return keys.peft_type === undefined && typeof keys.config === 'object' && keys.config !== null;
}

/** Where the library keeps the adapters of a place, before their name. */
function placeOf(model: ModelConfig, layer: number, role: Role): string {
  const name = linearName(model, layer, role);
  // BERT's kin have them inside the module of the output projection; all others in the layer.
  if (name.endsWith('.dense')) return `${name.slice(0, -'.dense'.length)}.adapters`;
  const prefix = model.architecture.block.prefix(layer);
  return `${prefix}.${role === 'down' ? 'output' : 'attention'}_adapters.adapters`;
}

/** Keys by parameter name. */
function keysOf(model: ModelConfig, layer: number, role: Role, adapter: string): Map<string, string> {
  const names = bottleneckNames(linearName(model, layer, role));
  const at = `${placeOf(model, layer, role)}.${adapter}`;
  return new Map([
    [names.down, `${at}.adapter_down.0.weight`],
    [names.downBias, `${at}.adapter_down.0.bias`],
    [names.up, `${at}.adapter_up.weight`],
    [names.upBias, `${at}.adapter_up.bias`],
    [names.scaling, `${at}.scaling`],
  ]);
}

/**
 * Reads an AdapterHub folder; its head too, where there is one.
 * @throws UserError where a file is missing or damaged, is for another base, or has a feature that is not supported
 */
export async function readHubAdapter(dir: string, model: ModelConfig): Promise<Adapter> {
  const path = join(dir, CONFIG);
  const { name, config, layers, roles } = parseHubConfig(await readJson(path, z.unknown()), path, model);
  const weights = join(dir, WEIGHTS);
  if (!(await exists(weights)) && (await exists(join(dir, 'pytorch_adapter.bin')))) {
    const how = `save it again with model.save_adapter(dir, "${name}", use_safetensors=True)`;
    throw new UserError(`${weights}: missing, only pytorch_adapter.bin is there; ${how}`);
  }
  const modules: PeftModule[] = [];
  const tensors = new Map<string, AdapterTensor>();
  const file = await openSafetensors(weights);
  try {
    const read = new Set<string>();
    for (const { layer } of layers) {
      for (const role of roles) {
        const features = { inFeatures: model.hiddenSize, outFeatures: model.hiddenSize };
        const module = moduleFor({ name: linearName(model, layer, role), ...features }, config);
        modules.push(module);
        const keys = keysOf(model, layer, role, name);
        for (const factor of new Bottleneck(config, []).factors(module)) {
          const key = storedKey(file, keys.get(factor.name)!, model);
          tensors.set(factor.name, {
            shape: factorShape(factor, module),
            data: await readShaped(file, key, factorShape(factor, module)),
          });
          read.add(key);
        }
      }
    }
    const unread = file.names.find((key) => !read.has(key));
    if (unread !== undefined)
      throw new UserError(`${weights}: tensor "${unread}" is not supported, or not in ${CONFIG}`);
  } finally {
    await file.close();
  }
  const head = await readHubHead(dir, model);
  for (const [key, tensor] of head?.tensors ?? []) tensors.set(key, tensor);
  const modulesToSave = [...new Set([...(head?.tensors.keys() ?? [])].map((key) => savedModule(model, key)))];
  const { taskType, extra } = head ? taskKeys(model, head.kind) : { taskType: null, extra: {} };
  return {
    config: { ...config, modulesToSave, taskType, extra: { ...config.extra, ...extra } },
    modules,
    tensors,
    ...(head?.labels && { labels: head.labels }),
  };
}

/** Keys begin as those of the model it was saved from: below the family's prefix without a head, otherwise for some heads. */
function storedKey(file: TensorFile, key: string, model: ModelConfig): string {
  const found = storedName(file, key, model);
  if (found !== undefined) return found;
  throw new UserError(`${file.path}: tensor "${key}" is missing`);
}

async function readShaped(file: TensorFile, key: string, shape: readonly number[]): Promise<Float32Array> {
  const found = file.info(key).shape;
  if (found.length === shape.length && found.every((n, i) => n === shape[i])) return file.readFloat32(key);
  throw new UserError(
    `${file.path}: tensor "${key}": shape [${found.join(', ')}], expected [${shape.join(', ')}] by ${CONFIG}`,
  );
}

/**
 * Writes an AdapterHub folder, head included. The library has one size per layer, biases always and both places in every layer: what
 * pruning removed is filled with zeros, which adds nothing to any output.
 * @param name of the adapter in the library
 */
export async function writeHubAdapter(
  dir: string,
  model: ModelConfig,
  { config, modules, tensors }: Adapter,
  { head, labels }: { readonly head: HeadKind; readonly labels: readonly string[] },
  name: string,
): Promise<void> {
  if (!isBottleneck(config)) throw new Error(`AdapterHub folders hold bottleneck adapters, not ${config.method}`);
  const sizes = layerSizes(modules, model);
  const roles = ROLES.filter((role) =>
    modules.some((m) => [...sizes.keys()].some((l) => linearName(model, l, role) === m.name)),
  );
  const entries: TensorEntry[] = [];
  const whole = new Bottleneck({ ...config, biases: true }, []);
  for (const [layer, ranks] of sizes) {
    for (const role of roles) {
      const linear = linearName(model, layer, role);
      const full = { name: linear, inFeatures: model.hiddenSize, outFeatures: model.hiddenSize, ranks, scaling: 1 };
      const keys = keysOf(model, layer, role, name);
      for (const factor of whole.factors(full)) {
        const shape = factorShape(factor, full);
        const data = padded(tensors.get(factor.name), shape);
        entries.push({ name: keys.get(factor.name)!, dtype: 'F32', shape, data });
      }
    }
  }
  const json = jsonText(hubConfigJson(name, config, sizes, roles, model, className(model, head)));
  await writeAtomically([
    { path: join(dir, WEIGHTS), write: safetensorsWriter(entries, { format: 'pt' }) },
    // The library tells numbers from "learned" by their being Python floats.
    { path: join(dir, CONFIG), write: (file) => file.writeFile(json.replace(/("scaling": -?\d+)(?=[,\n])/, '$1.0')) },
    ...headFiles(dir, model, tensors, labels, head),
  ]);
}

/** A factor at its layer's size, zeros for ranks it lacks. */
function padded(tensor: AdapterTensor | undefined, [rows = 1, cols = 1]: readonly number[]): Float32Array {
  const data = new Float32Array(rows * cols);
  if (!tensor) return data;
  const [height = 1, width = 1] = tensor.shape;
  for (let r = 0; r < height; r++) {
    for (let c = 0; c < width; c++) data[r * cols + c] = tensor.data[r * width + c]!;
  }
  return data;
}
