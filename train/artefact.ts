/**
 * Room: train. What a task leaves on disk, and putting a model together from it: the original base checkpoint, plus a PEFT
 * folder with the surviving factors and the task head, plus `plan.json` where something was pruned, plus `labels.json`.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../engine/errors.ts';
import { fingerprintCheckpoint } from '../engine/io/fingerprint.ts';
import { exists, readJson, writeJson } from '../engine/io/files.ts';
import type { OnBytes } from '../engine/io/load.ts';
import { openSafetensors } from '../engine/io/safetensors.ts';
import { sameShape, showShape } from '../engine/graph/shape.ts';
import type { HeadKind, ModelConfig } from '../models/architecture.ts';
import { loadBaseModel, type BaseModel } from '../models/base-model.ts';
import { loadConfig, savedHead } from '../models/config.ts';
import { frozenHeadShapes, frozenLinears, headShapes } from '../models/heads.ts';
import { storedName } from '../models/weights.ts';
import { Bottleneck } from '../peft/bottleneck/bottleneck.ts';
import type { PeftConfig } from '../peft/config.ts';
import { readAdapter, writeAdapter, type Adapter, type AdapterTensor } from '../peft/files.ts';
import { Lora } from '../peft/lora/lora.ts';
import type { PeftMethod, PeftModule } from '../peft/module.ts';
import { assertPlanFits, readPlan, writePlan, type Plan } from '../pruning/plan.ts';
import { pruneModel } from '../pruning/surgery.ts';
import { freshConfig, type Assembly, type Values } from './assembly.ts';
import { settingsSchema, type Settings } from './settings.ts';
import { keptLayers } from './stages.ts';

const labelsSchema = z.array(z.string()).min(1);

/** Writes the folder of a task. The plan's base must be the one the assembly stands on. */
export async function saveArtefact(
  dir: string,
  assembly: Pick<Assembly, 'method' | 'peft' | 'values' | 'head' | 'labels'> & {
    readonly base: { readonly config: ModelConfig };
  },
  { plan }: { readonly plan?: Plan } = {},
): Promise<void> {
  await mkdir(dir, { recursive: true });
  const tensors = new Map<string, AdapterTensor>();
  const put = (name: string, shape: readonly number[]): void => {
    tensors.set(name, { shape, data: assembly.values.get(name) as Float32Array });
  };
  const modules = assembly.method?.modules ?? [];
  for (const module of modules) {
    const { down, up } = (assembly.method as PeftMethod).factors(module);
    put(down, [module.ranks, module.inFeatures]);
    put(up, [module.outFeatures, module.ranks]);
  }
  for (const [name, shape] of headShapes(assembly.base.config, assembly.head, assembly.labels.length)) put(name, shape);
  await writeAdapter(dir, { config: assembly.peft, modules, tensors });
  if (assembly.labels.length > 0) await writeJson(join(dir, 'labels.json'), assembly.labels);
  if (plan) await writePlan(join(dir, 'plan.json'), plan);
  else await rm(join(dir, 'plan.json'), { force: true });
}

export interface LoadedArtefact extends Assembly {
  readonly fingerprint: string;
  readonly plan?: Plan;
}

interface LoadArtefactOptions {
  /** Absent: the one the adapter, else the checkpoint, was made with. */
  readonly head?: HeadKind | undefined;
  /** The same checkpoint, whole and with what that head needs: used unless a plan asks for a base of its own. */
  readonly shared?: BaseModel | undefined;
  readonly onBytes?: OnBytes | undefined;
}

/**
 * Puts base and adapter together; a plan in the adapter's folder prunes the base on the way.
 * @param adapterDir absent: the checkpoint's own head, without PEFT
 * @throws UserError where base, plan and adapter do not belong together
 */
export async function loadArtefact(
  engine: Engine,
  modelDir: string,
  adapterDir: string | undefined,
  { weights, embeddings }: Pick<Settings, 'weights' | 'embeddings'>,
  { head: kind, shared, onBytes }: LoadArtefactOptions = {},
): Promise<LoadedArtefact> {
  const config = await loadConfig(modelDir);
  const fingerprint = await fingerprintCheckpoint(modelDir);
  const adapter = adapterDir === undefined ? undefined : await readAdapter(adapterDir);
  const plan = adapterDir === undefined ? undefined : await readPlanFor(adapterDir, fingerprint, config);
  const head = kind ?? (adapter && taskHead(adapter.config)) ?? savedHead(config) ?? 'classification';
  const trained = await readHead(modelDir, config, head, adapter, adapterDir);
  const extra = frozenHeadShapes(config, head);
  const load = (): Promise<BaseModel> =>
    loadBaseModel(engine, modelDir, { weightType: weights, embeddings, extra, ...(onBytes && { onBytes }) });
  const whole = plan ? await load() : (shared ?? (await load()));
  const base = plan ? await pruneModel(engine, whole, keptLayers(plan)) : whole;
  if (!adapter) return { base, method: undefined, peft: headOnly(config), fingerprint, head, ...trained };
  checkModules(adapter.modules, base, head, adapterDir as string, adapter.config.method === 'lora');
  const method = methodOf(adapter);
  const factors = [...adapter.tensors].map(([name, { data }]) => [name, data] as const);
  const values = new Map([...factors, ...trained.values]);
  const { labels } = trained;
  return { base, method, peft: adapter.config, values, head, labels, fingerprint, ...(plan && { plan }) };
}

/** By PEFT's `task_type`; it has none for masked language models and multiple choice. */
const TASK_HEADS: Readonly<Record<string, HeadKind>> = {
  SEQ_CLS: 'classification',
  CAUSAL_LM: 'causal-lm',
  QUESTION_ANS: 'question-answering',
};

function taskHead({ taskType }: PeftConfig): HeadKind | undefined {
  return taskType === null ? undefined : TASK_HEADS[taskType];
}

/** The plan in an adapter's folder, checked against the base; undefined where nothing was pruned. */
export async function readPlanFor(dir: string, fingerprint: string, config: ModelConfig): Promise<Plan | undefined> {
  const path = join(dir, 'plan.json');
  if (!(await exists(path))) return undefined;
  const plan = await readPlan(path);
  assertPlanFits(plan, path, fingerprint, config);
  return plan;
}

/** The method of an adapter read from disk, its modules as their tensors are. */
export function methodOf({ config, modules }: Pick<Adapter, 'config' | 'modules'>): PeftMethod {
  if (config.method === 'lora') return new Lora(modules, config.dropout);
  const { nonLinearity, parallel, dropout } = config;
  return new Bottleneck(modules, { nonLinearity, parallel, dropout });
}

/** Everything an adapter's folder holds, on the host: what stage two cuts. @throws UserError as `readAdapter` */
export async function readAdapterValues(
  dir: string,
  config: ModelConfig,
): Promise<Omit<Assembly, 'base' | 'method'> & { method: PeftMethod }> {
  const adapter = await readAdapter(dir);
  const values = new Map([...adapter.tensors].map(([name, { data }]) => [name, data]));
  const head = taskHead(adapter.config) ?? savedHead(config) ?? 'classification';
  const outputs = outputsOf(config, head, adapter.tensors);
  const labels = head === 'classification' && outputs > 0 ? await readLabels(dir, config, outputs) : [];
  return { method: methodOf(adapter), peft: adapter.config, values, head, labels };
}

/** How many outputs a head has by its last weight; 0 where that is not among the tensors. */
function outputsOf(config: ModelConfig, head: HeadKind, tensors: ReadonlyMap<string, AdapterTensor>): number {
  const names = [...headShapes(config, head, 1).keys()];
  return tensors.get(names[names.length - 1] ?? '')?.shape[0] ?? 0;
}

/** Class names and head weights: of the adapter, else of the checkpoint. */
async function readHead(
  modelDir: string,
  config: ModelConfig,
  kind: HeadKind,
  adapter: Adapter | undefined,
  adapterDir: string | undefined,
): Promise<{ values: Values; labels: readonly string[] }> {
  const names = [...headShapes(config, kind, 1).keys()];
  const tensors = new Map<string, AdapterTensor>();
  const file = await openSafetensors(modelDir);
  try {
    for (const name of names) {
      const saved = adapter?.tensors.get(name);
      const key = storedName(file, name, config);
      if (saved) tensors.set(name, saved);
      else if (key !== undefined) tensors.set(name, { shape: file.info(key).shape, data: await file.readFloat32(key) });
      else
        throw new UserError(
          `${adapterDir ?? modelDir}: tensor "${name}" is missing; the model has no head for ${kind} yet`,
        );
    }
  } finally {
    await file.close();
  }
  const outputs = outputsOf(config, kind, tensors);
  for (const [name, shape] of headShapes(config, kind, outputs)) {
    const found = tensors.get(name)?.shape ?? [];
    if (!sameShape(found, shape)) {
      throw new UserError(
        `${adapterDir ?? modelDir}: tensor "${name}": shape ${showShape(found)}, expected ${showShape(shape)}`,
      );
    }
  }
  const labels = kind === 'classification' ? await readLabels(adapterDir, config, outputs) : [];
  return { values: new Map([...tensors].map(([name, { data }]) => [name, data])), labels };
}

async function readLabels(dir: string | undefined, config: ModelConfig, outputs: number): Promise<readonly string[]> {
  const path = dir === undefined ? undefined : join(dir, 'labels.json');
  const written = path !== undefined && (await exists(path)) ? await readJson(path, labelsSchema) : undefined;
  if (written && written.length !== outputs) {
    throw new UserError(`${path}: ${written.length} labels, but the head has ${outputs} outputs`);
  }
  if (written) return written;
  // transformers' placeholder names say nothing: a data file's labels are then the class indices themselves.
  const named = config.labels.length === outputs && !config.labels.every((label, i) => label === `LABEL_${i}`);
  return named ? config.labels : Array.from({ length: outputs }, (_, i) => String(i));
}

/** @param attached whether modules work on the linear layer itself (LoRA) or on hidden states (adapters) */
function checkModules(
  modules: readonly PeftModule[],
  { config, layers }: BaseModel,
  head: HeadKind,
  dir: string,
  attached: boolean,
): void {
  const linears = new Map(frozenLinears(config, layers, head).map((linear) => [linear.name, linear]));
  for (const { name, inFeatures, outFeatures } of modules) {
    const linear = linears.get(name);
    if (!linear) throw new UserError(`${dir}: module "${name}" is not in the base model`);
    const hidden = config.hiddenSize;
    const [into, out] = attached ? [linear.inFeatures, linear.outFeatures] : [hidden, hidden];
    if (inFeatures !== into || outFeatures !== out) {
      const found = `factors are for [${outFeatures}, ${inFeatures}]`;
      throw new UserError(`${dir}: module "${name}": ${found}, the base has [${out}, ${into}]`);
    }
  }
}

function headOnly(config: ModelConfig): PeftConfig {
  return freshConfig(settingsSchema.parse({}), config);
}
