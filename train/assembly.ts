/**
 * Room: train. What a classifier is put together from between stages: the frozen base, PEFT modules, and the values of their
 * factors and of the task head on the host.
 */
import type { Engine } from '../engine/engine.ts';
import { Parameters, type ParameterSpec } from '../engine/nn/parameters.ts';
import { sizeOf } from '../engine/graph/shape.ts';
import {
  linearLayers,
  type BlockLinear,
  type HeadKind,
  type LayerShape,
  type ModelConfig,
} from '../models/architecture.ts';
import type { BaseModel } from '../models/base-model.ts';
import { headShapes, initialSpec } from '../models/heads.ts';
import { Bottleneck } from '../peft/bottleneck/bottleneck.ts';
import { rankFor, scalingFor, type PeftConfig } from '../peft/config.ts';
import { Lora } from '../peft/lora/lora.ts';
import { factorSpecs, type FactorValues, type PeftMethod, type PeftModule } from '../peft/module.ts';
import { targetedModules } from '../peft/targets.ts';
import { Classifier } from './classifier.ts';
import { hostRandom, STREAM } from './data/random.ts';
import type { Settings } from './settings.ts';

/** Values by parameter name: PEFT factors and task head. */
export type Values = ReadonlyMap<string, Float32Array>;

export interface Assembly {
  readonly base: BaseModel;
  /** Undefined: the head alone. */
  readonly method: PeftMethod | undefined;
  /** What `method` was made from; `configFor` makes it exact again after pruning. */
  readonly peft: PeftConfig;
  readonly values: Values;
  readonly head: HeadKind;
  /** Class names by index; none where the head's outputs are no classes. */
  readonly labels: readonly string[];
}

/** The configuration that settings ask for, as a new PEFT folder would have it. */
export function freshConfig(
  settings: Settings,
  config: ModelConfig,
  head: 'classification' | 'causal-lm' = 'classification',
): PeftConfig {
  const isClassifier = head === 'classification';
  const common = {
    dropout: settings.dropout,
    taskType: isClassifier ? 'SEQ_CLS' : 'CAUSAL_LM',
    baseModel: null,
    modulesToSave: isClassifier ? ['classifier', 'score'] : [],
    // PEFT wants to be told of matrices stored as [in, out].
    extra: config.architecture.storedInOut && settings.peft === 'lora' ? { fan_in_fan_out: true } : {},
  };
  if (settings.peft === 'adapter') {
    return {
      ...common,
      method: 'bottleneck',
      targetModules: (['attentionOutput', 'down'] as const).map((role) => blockName(config, role)),
      size: settings.adapterSize,
      sizePattern: {},
      nonLinearity: settings.adapterActivation,
      scaling: settings.adapterScale,
      parallel: settings.adapterParallel,
      init: 'mam_adapter',
    };
  }
  const named = settings.targetModules.split(',').map((name) => name.trim());
  const linears = linearLayers(config).map(({ name }) => name);
  const all = settings.targetModules === 'all-linear';
  return {
    ...common,
    method: 'lora',
    targetModules: all ? blockNames(config) : targetNames(named, linears),
    r: settings.loraR,
    alpha: settings.loraAlpha,
    rankPattern: {},
    alphaPattern: {},
    useRslora: false,
    init: true,
  };
}

/** Name of a linear layer below its block. */
function blockName({ architecture: { block } }: ModelConfig, role: 'attentionOutput' | 'down'): string {
  return (block.linears[role] as BlockLinear).name;
}

/** Names of a block's linear layers, each as short as tells it from the others. */
function blockNames({ architecture: { block } }: ModelConfig): string[] {
  const names = Object.values(block.linears).map(({ name }) => name);
  const last = (name: string): string => name.slice(name.lastIndexOf('.') + 1);
  return names.map((name) => (names.filter((other) => last(other) === last(name)).length === 1 ? last(name) : name));
}

/** @throws UserError for a name that targets nothing */
function targetNames(names: readonly string[], linears: readonly string[]): readonly string[] {
  for (const name of names) targetedModules(linears, { targetModules: [name], modulesToSave: [] });
  return names;
}

/** The PEFT method of a configuration on a model with layers of these sizes. */
export function methodFor(config: ModelConfig, layers: readonly LayerShape[], peft: PeftConfig): PeftMethod {
  const linears = linearLayers(config, layers);
  const targeted = new Set(
    targetedModules(
      linears.map(({ name }) => name),
      peft,
    ),
  );
  const chosen = linears.filter(({ name }) => targeted.has(name));
  const d = config.hiddenSize;
  const modules = chosen.map(({ name, inFeatures, outFeatures }): PeftModule => ({
    name,
    inFeatures: peft.method === 'lora' ? inFeatures : d,
    outFeatures: peft.method === 'lora' ? outFeatures : d,
    ranks: rankFor(name, peft),
    scaling: scalingFor(name, peft),
  }));
  if (peft.method === 'lora') return new Lora(modules, peft.dropout);
  const { nonLinearity, parallel, dropout } = peft;
  return new Bottleneck(modules, { nonLinearity, parallel, dropout });
}

/** Initial factors as PEFT draws them: down uniform in ±1/√inFeatures (Kaiming with a = √5), up zero. */
function freshFactors(module: PeftModule, seed: number, index: number): FactorValues {
  const random = hostRandom(seed, STREAM.weights, 1, index);
  const bound = 1 / Math.sqrt(module.inFeatures);
  const down = Float32Array.from(
    { length: module.ranks * module.inFeatures },
    () => (2 * random.uniform() - 1) * bound,
  );
  return { down, up: new Float32Array(module.outFeatures * module.ranks) };
}

/** Fresh values of all factors and of the head. */
export function freshValues(
  config: ModelConfig,
  method: PeftMethod | undefined,
  head: HeadKind,
  labels: number,
  seed: number,
): Map<string, Float32Array> {
  const values = new Map<string, Float32Array>();
  method?.modules.forEach((module, index) => {
    const names = method.factors(module);
    const factors = freshFactors(module, seed, index);
    values.set(names.down, factors.down).set(names.up, factors.up);
  });
  const random = hostRandom(seed, STREAM.weights, 2);
  for (const [name, shape] of headShapes(config, head, labels)) {
    values.set(name, initialSpec(name, shape, config.initializerRange, () => random.normal()).data);
  }
  return values;
}

/** Uploads an assembly. @param extra further parameters, e.g. masks */
export function toClassifier(engine: Engine, assembly: Assembly, extra: readonly ParameterSpec[] = []): Classifier {
  const { base, method, values, head: kind, labels } = assembly;
  const valueOf = (name: string): Float32Array => {
    const value = values.get(name);
    if (!value) throw new Error(`no values for parameter ${name}`);
    return value;
  };
  const factors = method
    ? factorSpecs(method, (module) => {
        const { down, up } = method.factors(module);
        return { down: valueOf(down), up: valueOf(up) };
      })
    : [];
  const head = [...headShapes(base.config, kind, labels.length)].map(([name, shape]): ParameterSpec => ({
    name,
    shape,
    data: valueOf(name),
    decay: shape.length === 2,
  }));
  return new Classifier(engine, base, method, new Parameters(engine, [...factors, ...head, ...extra]), kind);
}

/** Values in PEFT modules; the task head is the same for every method and not counted, as in PEFT's own reports of rank. */
export function factorCount(method: PeftMethod | undefined): number {
  return (method?.modules ?? []).reduce((sum, m) => sum + m.ranks * (m.inFeatures + m.outFeatures), 0);
}

/** Values in the task head. */
export function headCount(config: ModelConfig, head: HeadKind, labels: number): number {
  return [...headShapes(config, head, labels).values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
}
