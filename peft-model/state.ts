/**
 * Room: peft-model. A model with PEFT modules and a task head as the host holds it: what it is made of, and every value that trains.
 */
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../engine/errors.ts';
import type { ParameterSpec } from '../engine/nn/parameters.ts';
import { hostRandom, STREAM } from '../engine/random.ts';
import type { Shape } from '../engine/graph/shape.ts';
import { type HeadKind, type LayerShape, type LinearLayer, type ModelConfig } from '../models/architecture.ts';
import type { BaseModel } from '../models/base-model.ts';
import {
  headShapes,
  initialSpec,
  targetableLayers,
  tiedModules,
  vocabularyLayers,
  type TiedModules,
} from '../models/heads.ts';
import { methodOf, moduleFor, type PeftConfig } from '../peft/config.ts';
import { factorSpecs, moduleSize, valueOf, type PeftMethod, type PeftModule, type StateDict } from '../peft/module.ts';
import { savedModule } from '../peft/tasks.ts';
import { isInSaved, targetedModules } from '../peft/targets.ts';
import type { Decision } from '../pruning/decide.ts';
import type { ReadWeight } from '../pruning/slice.ts';
import { furtherHeadShapes, type NamedHead, type TaskHead } from './task-heads.ts';
import { factorsFromBase, trainedWeights, weightReader } from './from-base.ts';

/** All of a model but its base. */
export interface PeftModelState extends TaskHead {
  /** Undefined: the head alone. */
  readonly method: PeftMethod | undefined;
  /** Heads of several tasks, the first of which is the state's own; undefined: there is one, without a name. */
  readonly heads?: readonly NamedHead[] | undefined;
  /** What `method` was made from; `configFor` makes it exact again after pruning. */
  readonly peft: PeftConfig;
  /** Of factors, head, and weights of the base that train along. */
  readonly values: StateDict;
  /** What was pruned, if anything. */
  readonly plan?: Decision | undefined;
}

/**
 * The PEFT method of a configuration on a model with layers of these sizes.
 * @throws UserError for a method that cannot adapt what is targeted
 */
function methodFor(config: ModelConfig, shapes: readonly LayerShape[], peft: PeftConfig, head: HeadKind): PeftMethod {
  const layers = targetableLayers(config, shapes, head);
  const targeted = new Set(
    targetedModules(
      layers.map(({ name }) => name),
      peft,
    ),
  );
  const found = layers.filter(({ name }) => targeted.has(name));
  const tied = tiedModules(config, head);
  const wrong = peft.method === 'lora' ? undefined : found.find((l) => l.isEmbedding || l.name === tied?.scores);
  if (wrong) {
    throw new UserError(`target_modules: ${wrong.name} is an embedding, or tied to one; only LoRA adapts these`);
  }
  return methodOf(
    peft,
    found.map((layer) => moduleFor(placeOf(layer, config, peft), peft)),
  );
}

/** The features that a module on a linear layer works on. */
export function placeOf(layer: LinearLayer, { hiddenSize: d }: ModelConfig, peft: PeftConfig): LinearLayer {
  return methodOf(peft, []).adaptsLinear ? layer : { ...layer, inFeatures: d, outFeatures: d };
}

type Heads = Pick<PeftModelState, 'head' | 'labels' | 'heads'>;

/** Fresh values of the heads and of all factors that do not come from the base. */
export function initState(
  config: ModelConfig,
  method: PeftMethod | undefined,
  { head, labels, heads }: Heads,
  seed: number,
): Map<string, Float32Array> {
  const values = new Map<string, Float32Array>();
  method?.modules.forEach((module, index) => {
    const draw = hostRandom(seed, STREAM.weights, 1, index);
    for (const [name, value] of method.initParameters(module, draw)) values.set(name, value);
  });
  const random = hostRandom(seed, STREAM.weights, 2);
  for (const [name, shape] of [...headShapes(config, head, labels.length), ...furtherHeadShapes(config, heads)]) {
    values.set(name, initialSpec(name, shape, config.initializerRange, () => random.normal()).data);
  }
  return values;
}

/** Fresh values of frozen weights that the task's head needs and a checkpoint lacks; `loadBaseModel` asks for them. */
export function initMissingWeights(config: ModelConfig, seed: number): (name: string, shape: Shape) => Float32Array {
  const random = hostRandom(seed, STREAM.weights, 4);
  return (name, shape) => initialSpec(name, shape, config.initializerRange, () => random.normal()).data;
}

/** Weights that the checkpoint lacks train along, by the module after the family's prefix, e.g. `pooler`. */
function savingLacked(peft: PeftConfig, { config, missingKeys }: BaseModel): PeftConfig {
  const modules = missingKeys.map((name) => savedModule(config, name));
  return modules.length === 0 ? peft : { ...peft, modulesToSave: [...new Set([...peft.modulesToSave, ...modules])] };
}

/** A vocabulary with new rows trains and is saved as a whole: the embedding, and what scores the vocabulary, each for itself as in PEFT. */
function savingResized(peft: PeftConfig, { config }: BaseModel, head: HeadKind): PeftConfig {
  if (config.savedVocabSize === undefined) return peft;
  const { words } = config.architecture.embeddings;
  const paths = [words, ...vocabularyLayers(config, head).map(({ name }) => name)];
  const missing = paths.filter((path) => !isInSaved(`${path}.weight`, peft.modulesToSave));
  const names = missing.map((path) => path.split('.').at(-1) as string);
  return { ...peft, modulesToSave: [...peft.modulesToSave, ...names] };
}

/** A fresh state on a whole base: everything that will train has its first value. @param ownHead of the checkpoint, in place of a drawn one */
export async function createState(
  engine: Engine,
  base: BaseModel,
  given: PeftConfig,
  { head, labels, heads }: Heads,
  seed: number,
  ownHead: StateDict = new Map(),
): Promise<PeftModelState> {
  const peft = savingLacked(savingResized(given, base, head), base);
  const method = methodFor(base.config, base.layers, peft, head);
  const values = new Map([...initState(base.config, method, { head, labels, heads }, seed), ...ownHead]);
  const read = weightReader(engine, base);
  for (const [name, value] of await factorsFromBase(method, values, read)) values.set(name, value);
  for (const name of trainedWeights(base, method, peft)) if (!values.has(name)) values.set(name, await read(name));
  return { method, peft, values, head, labels, heads };
}

/** Everything that trains: factors, head, and weights of the base. */
export function parameterSpecs(
  base: BaseModel,
  { method, values, head, labels, heads }: PeftModelState,
): ParameterSpec[] {
  const spec = (name: string, shape: Shape, stored: Shape = shape): ParameterSpec => ({
    name,
    shape,
    stored,
    data: valueOf(values, name),
    decay: shape.length === 2,
  });
  const shapes = new Map([...headShapes(base.config, head, labels.length), ...furtherHeadShapes(base.config, heads)]);
  const factors = method ? factorSpecs(method, values, (module) => storedShapeOf(base, method, module)) : [];
  const whole = [...values.keys()].filter((name) => base.weights.has(name) && !shapes.has(name));
  return [
    ...factors,
    ...[...shapes].map(([name, shape]) => spec(name, shape)),
    ...whole.map((name) => {
      const { shape, stored } = base.weights.get(name)!;
      return spec(name, shape, stored);
    }),
  ];
}

/** Starts what pruning left afresh. @param read weights of the pruned base @param ownHead as in `createState` */
export async function reinitialise<S extends PeftModelState>(
  config: ModelConfig,
  state: S,
  seed: number,
  read: ReadWeight,
  ownHead: StateDict = new Map(),
): Promise<S> {
  const { method, values } = state;
  const fresh = new Map([...initState(config, method, state, seed), ...ownHead]);
  for (const [name, value] of method ? await factorsFromBase(method, fresh, read) : []) fresh.set(name, value);
  for (const name of values.keys()) if (!fresh.has(name)) fresh.set(name, await read(name));
  return { ...state, values: fresh };
}

/** Undefined where the module does not follow the weight's slicing. Embeddings are never cut. */
function storedShapeOf({ weights }: BaseModel, { adaptsLinear }: PeftMethod, module: PeftModule): Shape | undefined {
  return adaptsLinear && !module.isEmbedding ? weights.get(`${module.name}.weight`)?.stored : undefined;
}

/** The modules that share the word embedding's matrix, and whether one of them was trained whole, so that each has its own. */
export function tiedApart(
  config: ModelConfig,
  { head, values }: Pick<PeftModelState, 'head' | 'values'>,
): { readonly tied: TiedModules | undefined; readonly apart: boolean } {
  const tied = tiedModules(config, head);
  const isTrained = (module: string): boolean => values.has(`${module}.weight`);
  return { tied, apart: tied !== undefined && (isTrained(tied.scores) || isTrained(tied.words)) };
}

/** Values in PEFT modules; the task head is the same for every method and not counted, as in PEFT's own reports of rank. */
export function factorCount(method: PeftMethod | undefined): number {
  return (method?.modules ?? []).reduce((sum, m) => sum + moduleSize(method as PeftMethod, m), 0);
}
