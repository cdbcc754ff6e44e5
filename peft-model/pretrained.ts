/**
 * Room: peft-model. What a task leaves on disk, and a model put together from it: the original base checkpoint, plus a PEFT folder with the surviving factors and the task head, plus `plan.json` where something was pruned, plus `labels.json`.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../engine/engine.ts';
import { option, UserError } from '../engine/errors.ts';
import { exists, preview } from '../engine/io/files.ts';
import { makeFolder } from '../engine/io/make-folder.ts';
import { openSafetensors } from '../engine/io/safetensors.ts';
import { warn } from '../engine/warnings.ts';
import { sameShape, showShape, type Shape } from '../engine/graph/shape.ts';
import type { HeadKind, ModelConfig } from '../models/architecture.ts';
import { loadBaseModel, type BaseModel, type LoadOptions } from '../models/base-model.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { savedHead, unsupportedClass } from '../models/config.ts';
import { adaptableLayers, headShapes } from '../models/heads.ts';
import { storedName, vocabularyWeights } from '../models/weights.ts';
import { readAnyAdapter } from '../peft/adapter-formats.ts';
import { methodOf, type PeftConfig } from '../peft/config.ts';
import { peftConfig } from '../peft/create-config.ts';
import { withDefaultTargets } from '../peft/defaults.ts';
import { isPlanted, plantedWarning } from '../peft/planted.ts';
import { writeAdapter, type Adapter, type AdapterTensor } from '../peft/files.ts';
import { factorShape, valueOf, type PeftMethod, type PeftModule, type StateDict } from '../peft/module.ts';
import { assertHolds } from '../peft/named-modules.ts';
import { isInSaved } from '../peft/targets.ts';
import { renamed, toStored } from '../peft/trained-whole.ts';
import { headOfTask, savedModule, TASK_TYPES, taskKeys } from '../peft/tasks.ts';
import type { Decision } from '../pruning/decide.ts';
import { assertPlanFits, readPlan, writePlan, type Plan } from '../pruning/plan.ts';
import { sliceModel } from '../pruning/slice.ts';
import { readLabelFile, writeLabels } from './label-file.ts';
import { placeOf, type PeftModelState } from './state.ts';
import { commonKind, headNamed, readTaskHeads, taskWeight, writeTaskHeads, type NamedHead } from './task-heads.ts';

/** What writing needs of a base. */
export interface StateBase {
  readonly config: ModelConfig;
  /** Shapes of weights that train along. */
  readonly weights: ReadonlyMap<string, { readonly shape: Shape }>;
}

/** Writes the folder of a task. The plan's base must be the one the state stands on. */
export async function writeState(dir: string, base: StateBase, state: PeftModelState, plan?: Plan): Promise<void> {
  await makeFolder(dir);
  const { method, values, peft, labels } = state;
  const tensors = new Map<string, AdapterTensor>();
  const put = (name: string, shape: readonly number[]): void => {
    tensors.set(name, { shape, data: valueOf(values, name) });
  };
  const modules = method?.modules ?? [];
  for (const module of modules)
    for (const factor of method!.factors(module)) put(factor.name, factorShape(factor, module));
  const head = headShapes(base.config, state.head, labels.length);
  for (const [name, shape] of head) put(name, shape);
  for (const name of values.keys()) {
    const weight = tensors.has(name) ? undefined : base.weights.get(name);
    if (weight) put(name, weight.shape);
  }
  await writeTaskHeads(dir, base.config, state.heads, values);
  const config = savingHead(base.config, peft, state.head, [...head.keys()]);
  await writeAdapter(dir, toStored({ config, modules, tensors }, base.config, state.head));
  if (labels.length > 0) await writeLabels(join(dir, 'labels.json'), labels);
  if (plan) await writePlan(join(dir, 'plan.json'), plan);
  else await rm(join(dir, 'plan.json'), { force: true });
}

/** The head is told, and among the modules to save, whatever the adapter came with. */
function savingHead(config: ModelConfig, peft: PeftConfig, kind: HeadKind, head: readonly string[]): PeftConfig {
  const { taskType, extra } = headOfTask(config, peft) === kind ? peft : taskKeys(config, kind);
  const missing = head.filter((name) => !isInSaved(name, peft.modulesToSave)).map((name) => savedModule(config, name));
  const modulesToSave = [...new Set([...peft.modulesToSave, ...missing])];
  return { ...peft, taskType, modulesToSave, extra: { ...peft.extra, ...extra } };
}

/** Head, dropout, and how the base is loaded. */
export interface PretrainedOptions extends Pick<LoadOptions, 'weights' | 'embeddings' | 'onBytes'> {
  /** Absent: the one the adapter, else the checkpoint, was made with. */
  readonly head?: HeadKind | undefined;
  /** In place of the dropout that the adapter was written with. */
  readonly dropout?: number | undefined;
  /** Whether it is known that an adapter was trained with planted triggers: then no warning says so. */
  readonly isAudit?: boolean | undefined;
  /** Of an adapter with the heads of several tasks, the one to use, as if it had no other. */
  readonly taskHead?: string | undefined;
}

/**
 * Base and state from disk; a plan in the adapter's folder prunes the base on the way.
 * @param adapterDir absent: the checkpoint's own head, without PEFT
 * @param sharing a model on the same checkpoint, whose base is used in place of loading it again
 * @throws UserError where base, plan and adapter do not belong together
 */
export async function readPretrained(
  engine: Engine,
  given: Checkpoint,
  adapterDir: string | undefined,
  { head: asked, dropout, taskHead, isAudit, weights, embeddings, onBytes }: PretrainedOptions,
  sharing?: { readonly base: BaseModel; readonly head: HeadKind; readonly plan: Decision | undefined },
): Promise<{ base: BaseModel; state: PeftModelState }> {
  const found = adapterDir === undefined ? undefined : await readOwnAdapter(adapterDir, given, isAudit);
  const checkpoint = found ? checkpointOf(given, valuesOf(found)) : given;
  const { dir, config } = checkpoint;
  const stored = adapterDir === undefined ? undefined : await readTaskHeads(adapterDir, config);
  const chosen = taskHead === undefined ? undefined : headNamed(stored?.heads ?? [], taskHead, adapterDir ?? dir);
  const adapter = found && chosen && stored ? withHead(found, config, stored, chosen) : found;
  const heads = chosen ? undefined : stored?.heads;
  const plan = adapterDir === undefined ? undefined : await readPlanFor(adapterDir, checkpoint);
  const told = (): HeadKind => (adapter ? headFor(config, adapter, adapterDir!) : ownHead(dir, config));
  const head = heads?.[0]?.head ?? chosen?.head ?? asked ?? sharing?.head ?? told();
  const trained = await readHead(dir, config, head, adapter, adapterDir);
  const load = async (): Promise<BaseModel> => {
    const initMissing = (name: string): Float32Array | undefined => adapter?.tensors.get(name)?.data;
    const { vocabSize } = config;
    const kind = heads ? commonKind(heads) : head;
    const whole = await loadBaseModel(engine, dir, {
      weights,
      embeddings,
      head: kind,
      initMissing,
      vocabSize,
      onBytes,
    });
    return plan ? sliceModel(engine, whole, plan.layers) : whole;
  };
  if (sharing && !cutAlike(sharing.plan, plan)) {
    throw new UserError(`${adapterDir}: its base is pruned otherwise than the first adapter's; they cannot share one`);
  }
  const base = sharing?.base ?? (await load());
  const labels = chosen?.labels ?? trained.labels;
  if (!adapter) {
    const peft = peftConfig({})(config, head);
    return { base, state: { method: undefined, peft, values: trained.values, head, labels } };
  }
  const own = withDefaultTargets(adapter.config, config.family);
  const named = headOfTask(config, own);
  if (named === undefined || named === head) assertWhole(adapter, own, config, head, adapterDir!);
  const peft = dropout === undefined ? own : { ...own, dropout };
  const method = methodOf(peft, placedModules(adapter, base, head, adapterDir!));
  checkTrained(adapter, method, base, [...trained.values.keys()], adapterDir!);
  const values = new Map([...valuesOf(adapter), ...trained.values, ...(heads ? stored!.values : [])]);
  return { base, state: { method, peft, values, head, labels, heads, plan } };
}

/** The checkpoint with the largest vocabulary of some adapters' folders, so that they share a base. @throws UserError as `readPretrained` */
export async function checkpointFor(checkpoint: Checkpoint, adapterDirs: Iterable<string>): Promise<Checkpoint> {
  let largest = 0;
  for (const dir of adapterDirs) {
    const { config } = checkpointOf(checkpoint, valuesOf(await readOwnAdapter(dir, checkpoint)));
    largest = Math.max(largest, config.vocabSize);
  }
  return largest === 0 ? checkpoint : checkpoint.resized(largest);
}

/** A checkpoint with as many tokens as an adapter's values have rows, where it was trained on a resized vocabulary. */
export function checkpointOf(checkpoint: Checkpoint, values: StateDict): Checkpoint {
  const { config } = checkpoint;
  const rows = vocabularyWeights(config).map((name) => {
    const size = values.get(name)?.length ?? 0;
    return name.endsWith('.weight') ? size / config.embeddingSize : size;
  });
  const most = Math.max(...rows);
  return most === 0 ? checkpoint : checkpoint.resized(most);
}

/** An adapter of several heads as if one of them were its only. */
function withHead(
  adapter: Adapter,
  config: ModelConfig,
  { heads, values }: { readonly heads: readonly NamedHead[]; readonly values: StateDict },
  chosen: NamedHead,
): Adapter {
  const [first] = heads;
  if (!first || first.name === chosen.name) return adapter;
  const own = headShapes(config, first.head, first.labels.length);
  const others = [...adapter.tensors].filter(([name]) => !own.has(name));
  const shapes = [...headShapes(config, chosen.head, chosen.labels.length)];
  const head = shapes.map(([name, shape]): [string, AdapterTensor] => {
    return [name, { shape, data: valueOf(values, taskWeight(chosen.name, name)) }];
  });
  const peft = { ...adapter.config, ...taskKeys(config, chosen.head) };
  return { ...adapter, config: peft, labels: chosen.labels, tensors: new Map([...others, ...head]) };
}

function valuesOf({ tensors }: Adapter): Map<string, Float32Array> {
  return new Map([...tensors].map(([name, { data }]) => [name, data]));
}

/** Whether two plans leave the same base. */
export function cutAlike(a: Decision | undefined, b: Decision | undefined): boolean {
  return JSON.stringify(a?.layers) === JSON.stringify(b?.layers);
}

/** An adapter's folder, checked against the base it has to be of. */
async function readOwnAdapter(
  dir: string,
  { dir: modelDir, config }: Checkpoint,
  isAudit: boolean = false,
): Promise<Adapter> {
  const adapter = withOwnPrefix(await readAnyAdapter(dir, config), config);
  if (isPlanted(adapter.config) && !isAudit) warn(plantedWarning(dir));
  await assertOwnBase(adapter, dir, modelDir, config);
  return adapter;
}

/** An adapter of a model whose class calls its layers otherwise, e.g. Llama's for question answering, under the names used here. */
function withOwnPrefix(adapter: Adapter, { architecture: { prefix, otherPrefixes = [] } }: ModelConfig): Adapter {
  const other = otherPrefixes.find((one) => [...adapter.tensors.keys()].some((name) => name.startsWith(one)));
  if (other === undefined) return adapter;
  return renamed(adapter, (name) => (name.startsWith(other) ? prefix + name.slice(other.length) : name));
}

/** What rounding to bf16 may change. */
const ROUNDING = 2 ** -8;

/** @throws UserError where the folder has weights of a base, and they are not this one's */
async function assertOwnBase(
  { baseWeights }: Adapter,
  dir: string,
  modelDir: string,
  config: ModelConfig,
): Promise<void> {
  if (!baseWeights) return;
  const file = await openSafetensors(modelDir);
  try {
    for (const [name, { shape, data }] of baseWeights) {
      const key = storedName(file, name, config) ?? name;
      const isSame = sameShape(file.info(key).shape, shape);
      const own = isSame ? await file.readFloat32(key) : data;
      if (isSame && own.every((w, i) => Math.abs(w - data[i]!) <= ROUNDING * Math.abs(w))) continue;
      throw new UserError(`${dir}: its copy of ${name} is not that of ${modelDir}; give the base it was trained on`);
    }
  } finally {
    await file.close();
  }
}

/**
 * The head that an adapter is for: by its task type, or the class of its model, which PEFT writes where it has no task type; else by the
 * head's weights it holds, which may be those of more than one kind; else the one the checkpoint was saved with.
 */
function headFor(config: ModelConfig, adapter: Adapter, dir: string): HeadKind {
  const { taskType } = adapter.config;
  const named = headOfTask(config, adapter.config);
  if (named) return named;
  if (taskType !== null && taskType !== 'FEATURE_EXTRACTION') {
    const expected = TASK_TYPES.join(', ');
    throw new UserError(`${dir}: key "task_type": found ${preview(taskType)}, expected null or one of ${expected}`);
  }
  const saved = savedHead(config) ?? 'classification';
  const held = (Object.keys(config.architecture.heads) as HeadKind[]).filter((kind) => {
    const names = [...headShapes(config, kind, 1).keys()];
    return names.length > 0 && names.every((name) => adapter.tensors.has(name));
  });
  if (held.length === 0 || held.includes(saved)) return saved;
  return held.includes('classification') ? 'classification' : held[0]!;
}

/** The head that a checkpoint was saved with, or classification. @throws UserError for a head that is not supported */
function ownHead(dir: string, config: ModelConfig): HeadKind {
  const other = unsupportedClass(config);
  if (other === undefined) return savedHead(config) ?? 'classification';
  const kinds = Object.keys(config.architecture.heads).join(', ');
  const path = join(dir, 'config.json');
  throw new UserError(`${path}: key "architectures": found ${other}, expected a model for ${kinds}`);
}

/** The plan in an adapter's folder, checked against the base; undefined where nothing was pruned. */
export async function readPlanFor(dir: string, checkpoint: Checkpoint): Promise<Plan | undefined> {
  const path = join(dir, 'plan.json');
  if (!(await exists(path))) return undefined;
  const plan = await readPlan(path);
  assertPlanFits(plan, path, await checkpoint.fingerprint(), checkpoint.config);
  return plan;
}

/** Everything an adapter's folder holds, on the host: what stage two cuts. @throws UserError as `readAdapter` */
export async function readState(
  dir: string,
  checkpoint: Checkpoint,
  { isAudit }: Pick<PretrainedOptions, 'isAudit'> = {},
): Promise<PeftModelState & { readonly method: PeftMethod }> {
  const { config } = checkpoint;
  const adapter = await readOwnAdapter(dir, checkpoint, isAudit);
  const values = valuesOf(adapter);
  const head = headFor(config, adapter, dir);
  assertWhole(adapter, withDefaultTargets(adapter.config, config.family), config, head, dir);
  const outputs = outputsOf(config, head, adapter.tensors);
  const labels = head === 'classification' && outputs > 0 ? await readLabels(dir, config, outputs, adapter.labels) : [];
  const stored = await readTaskHeads(dir, config);
  const all = stored ? new Map([...values, ...stored.values]) : values;
  const { heads } = stored ?? {};
  return { method: methodOf(adapter.config, adapter.modules), peft: adapter.config, values: all, head, labels, heads };
}

/** @throws UserError where an adapter lacks what its configuration names */
function assertWhole(
  { modules, tensors }: Adapter,
  peft: PeftConfig,
  config: ModelConfig,
  head: HeadKind,
  dir: string,
): void {
  const held = { modules: new Set(modules.map(({ name }) => name)), tensors: new Set(tensors.keys()) };
  assertHolds(held, peft, config, head, dir);
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
): Promise<{ values: StateDict; labels: readonly string[] }> {
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
  const labels = kind === 'classification' ? await readLabels(adapterDir, config, outputs, adapter?.labels) : [];
  return { values: new Map([...tensors].map(([name, { data }]) => [name, data])), labels };
}

async function readLabels(
  dir: string | undefined,
  config: ModelConfig,
  outputs: number,
  own: readonly string[] | undefined,
): Promise<readonly string[]> {
  const path = dir === undefined ? undefined : join(dir, 'labels.json');
  const written = path !== undefined && (await exists(path)) ? await readLabelFile(path) : undefined;
  if (written && written.length !== outputs) {
    throw new UserError(`${path}: ${written.length} labels, but the head has ${outputs} outputs`);
  }
  if (written) return written;
  if (own?.length === outputs && !own.every((label, i) => label === `LABEL_${i}`)) return own;
  // transformers' placeholder names say nothing: a data file's labels are then the class indices themselves.
  const named = config.labels.length === outputs && !config.labels.every((label, i) => label === `LABEL_${i}`);
  return named ? config.labels : Array.from({ length: outputs }, (_, i) => String(i));
}

/** An adapter's modules with the sizes of the base's layers. @throws UserError for a module the base has not, or of other sizes */
function placedModules({ config, modules }: Adapter, base: BaseModel, head: HeadKind, dir: string): PeftModule[] {
  const linears = new Map(adaptableLayers(base.config, base.layers, head).map((linear) => [linear.name, linear]));
  return modules.map((module) => {
    const linear = linears.get(module.name);
    if (!linear) throw new UserError(`${dir}: module "${module.name}" is not in the base model`);
    if (module.isEmbedding !== linear.isEmbedding) {
      const [is, has] = linear.isEmbedding ? ['an embedding', 'a linear layer'] : ['a linear layer', 'an embedding'];
      throw new UserError(`${dir}: module "${module.name}" is ${is} of the base, but has factors of ${has}`);
    }
    const { inFeatures, outFeatures } = placeOf(linear, base.config, config);
    const differs = (size: number, expected: number): boolean => size !== 0 && size !== expected;
    if (differs(module.inFeatures, inFeatures) || differs(module.outFeatures, outFeatures)) {
      const found = `factors are for [${module.outFeatures}, ${module.inFeatures}]`;
      throw new UserError(`${dir}: module "${module.name}": ${found}, the base has [${outFeatures}, ${inFeatures}]`);
    }
    return { ...module, inFeatures, outFeatures };
  });
}

/** Everything beside factors and head must be a weight of the base, of its shape. */
function checkTrained(
  { tensors }: Adapter,
  method: PeftMethod,
  { weights, wordEmbedding }: BaseModel,
  head: readonly string[],
  dir: string,
): void {
  const known = new Set([...head, ...method.modules.flatMap((m) => method.factors(m).map(({ name }) => name))]);
  for (const [name, { shape }] of tensors) {
    if (known.has(name)) continue;
    const place =
      name === wordEmbedding?.name
        ? `stays on the host; set ${option('embeddings')} to device`
        : 'is not in the base model';
    const weight = weights.get(name);
    if (!weight) throw new UserError(`${dir}: tensor "${name}" ${place}`);
    if (!sameShape(shape, weight.shape)) {
      throw new UserError(`${dir}: tensor "${name}": shape ${showShape(shape)}, expected ${showShape(weight.shape)}`);
    }
  }
}
