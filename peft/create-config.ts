/** Room: peft. The configuration of a fresh PEFT method on a model, as a new adapter folder would have it. */
import { option, UserError } from '../engine/errors.ts';
import { parseOptions } from '../engine/options.ts';
import {
  embeddingTables,
  linearLayers,
  linearName,
  type HeadKind,
  type ModelConfig,
  type Role,
} from '../models/architecture.ts';
import { vocabularyLayers } from '../models/heads.ts';
import type { BottleneckConfig } from './bottleneck/config.ts';
import type { PeftConfig } from './config.ts';
import { withDefaultTargets } from './defaults.ts';
import type { Ia3Config } from './ia3/config.ts';
import type { CommonConfig } from './keys.ts';
import type { LoraConfig } from './lora/config.ts';
import { assertOptionsMatch } from './named-modules.ts';
import { taskKeys } from './tasks.ts';
import { targetedModules } from './targets.ts';
import { peftOptionsSchema, type PeftOptions, type PeftOptionsInput } from './options.ts';

/** Methods of PEFT itself. */
const HAS_FAN_IN_OUT: ReadonlySet<PeftOptions['method']> = new Set(['lora', 'dora', 'ia3']);

/**
 * The configuration of a method on a model; what leaves its targets to the model has them then.
 * @throws UserError for names without a target, or options of no value
 */
export type PeftConfigFor = (config: ModelConfig, head: HeadKind) => PeftConfig;

/** `LoraConfig` of PEFT: rank 8 on every linear layer of the blocks unless told otherwise (Hu et al. 2022). */
export function loraConfig(options: Omit<PeftOptionsInput, 'method'> = {}): PeftConfigFor {
  return peftConfig({ ...options, method: 'lora' });
}

/** LoRA with magnitudes of its own (Liu et al. 2024): PEFT's `LoraConfig(use_dora=True)`. */
export function doraConfig(options: Omit<PeftOptionsInput, 'method'> = {}): PeftConfigFor {
  return peftConfig({ ...options, method: 'dora' });
}

/** `IA3Config` of PEFT (Liu et al. 2022). */
export function ia3Config(options: Omit<PeftOptionsInput, 'method'> = {}): PeftConfigFor {
  return peftConfig({ ...options, method: 'ia3' });
}

/** Bottleneck adapters after Houlsby et al. 2019, Pfeiffer et al. 2021, He et al. 2022, or as LLM-Adapters has them. */
export function bottleneckConfig(
  options: Omit<PeftOptionsInput, 'method'> & { readonly method: 'houlsby' | 'pfeiffer' | 'parallel' | 'adapter' },
): PeftConfigFor {
  return peftConfig(options);
}

/** Any built-in method by its name. @throws UserError for a wrong option, by name */
export function peftConfig(options: PeftOptionsInput): PeftConfigFor {
  const all = parseOptions(peftOptionsSchema, options);
  return (config, head) => {
    const peft = createConfig(all, config, head);
    assertOptionsMatch(all, peft, config, head);
    return peft;
  };
}

function createConfig(options: PeftOptions, config: ModelConfig, head: HeadKind): PeftConfig {
  const { taskType, modulesToSave, extra } = taskKeys(config, head);
  const common = {
    dropout: options.dropout,
    taskType,
    baseModel: null,
    modulesToSave: [...modulesToSave, ...(options.modulesToSave ?? [])],
    // PEFT wants to be told of matrices stored as [in, out].
    extra: {
      ...extra,
      ...(config.architecture.storedInOut && HAS_FAN_IN_OUT.has(options.method) && { fan_in_fan_out: true }),
    },
  };
  switch (options.method) {
    case 'lora':
    case 'dora':
      return checked(withDefaultTargets(lora(options, common, config), config.family), config);
    case 'ia3':
      return checked(ia3(options, common, config), config);
    case 'houlsby':
    case 'pfeiffer':
    case 'parallel':
    case 'adapter':
      return bottleneck(options, common, config);
  }
}

/** What every method's configuration begins with; its targets come later. */
type Common = Omit<CommonConfig, 'method' | 'targetModules'>;

function lora(options: PeftOptions, common: Common, config: ModelConfig): LoraConfig {
  return {
    ...common,
    ...targetRule(options, config),
    method: options.method === 'dora' ? 'dora' : 'lora',
    r: options.r,
    alpha: options.loraAlpha,
    rankPattern: options.rankPattern ?? {},
    alphaPattern: options.alphaPattern ?? {},
    useRslora: options.useRslora,
    bias: options.bias,
    init: options.initLoraWeights,
  };
}

/** Where only targets are given, the feed-forward modules among them are those of PEFT's defaults. */
function ia3(options: PeftOptions, common: Common, config: ModelConfig): Ia3Config {
  const rule = targetRule(options, config);
  const given = options.feedforwardModules;
  const own = { ...common, ...rule, method: 'ia3', dropout: 0, feedforwardModules: given, init: true } as const;
  // All-linear would scale both sides of each neighbour: PEFT's own choice is meant where nothing is named.
  const filled = withDefaultTargets(
    options.targetModules === ALL_LINEAR ? { ...own, targetModules: undefined } : own,
    config.family,
  );
  if (filled.feedforwardModules !== undefined) return filled;
  const defaults = withDefaultTargets({ ...own, targetModules: undefined }, config.family)
    .feedforwardModules as readonly string[];
  const targets = typeof filled.targetModules === 'string' ? defaults : (filled.targetModules ?? []);
  return {
    ...filled,
    feedforwardModules: targets.filter((name) => defaults.some((d) => name === d || name.endsWith(`.${d}`))),
  };
}

function bottleneck(options: PeftOptions, common: Common, config: ModelConfig): BottleneckConfig {
  const { method } = options;
  const hub = method !== 'adapter';
  const fallback = method === 'parallel' ? 4 : 1;
  return {
    ...common,
    method: 'bottleneck',
    targetModules: projections(
      config,
      method === 'houlsby' || method === 'adapter' ? ['attentionOutput', 'down'] : ['down'],
    ),
    size: sizeOf(options, config),
    sizePattern: {},
    nonLinearity:
      options.adapterActivation === 'swish'
        ? 'silu'
        : (options.adapterActivation ?? (method === 'houlsby' ? 'silu' : 'relu')),
    scaling: options.adapterScale ?? fallback,
    parallel: method === 'parallel' || options.adapterParallel,
    biases: hub,
    dropoutPlace: hub ? 'output' : 'input',
    normBefore: method === 'pfeiffer',
    residual: true,
    init: options.adapterInit === 'lora' ? 'mam_adapter' : options.adapterInit,
  };
}

/** The output projections that adapters follow, by their whole names: their last parts may be alike. */
function projections(config: ModelConfig, roles: readonly Role[]): string[] {
  const layers = Array.from({ length: config.numLayers }, (_, layer) => layer);
  return layers.flatMap((layer) => roles.map((role) => linearName(config, layer, role)));
}

/** Names of a block's linear layers, each as short as tells it from the others. */
function blockNames({ architecture: { block } }: ModelConfig): string[] {
  const all = Object.values(block.linears).map(({ name }) => name);
  const last = (name: string): string => name.slice(name.lastIndexOf('.') + 1);
  return all.map((name) => (all.filter((other) => last(other) === last(name)).length === 1 ? last(name) : name));
}

function sizeOf({ adapterSize, reductionFactor }: PeftOptions, { hiddenSize }: ModelConfig): number {
  if (adapterSize !== undefined && reductionFactor !== undefined) {
    throw new UserError(`${option('adapterSize')} and ${option('reductionFactor')}: give one of them`);
  }
  return adapterSize ?? (reductionFactor === undefined ? 8 : Math.max(1, Math.floor(hiddenSize / reductionFactor)));
}

const ALL_LINEAR = 'all-linear';

function targetRule(
  { targetModules, excludeModules, layersToTransform = [] }: PeftOptions,
  config: ModelConfig,
): Pick<CommonConfig, 'targetModules' | 'excludeModules' | 'layersToTransform'> {
  const targets =
    targetModules === 'default' ? undefined : targetModules === ALL_LINEAR ? blockNames(config) : targetModules;
  if (Array.isArray(targets)) for (const name of targets) checked({ targetModules: [name], modulesToSave: [] }, config);
  if (layersToTransform.some((n) => !Number.isInteger(n) || n < 0 || n >= config.numLayers)) {
    const found = `found "${layersToTransform.join(',')}"`;
    throw new UserError(`${option('layersToTransform')}: ${found}, expected numbers from 0 to ${config.numLayers - 1}`);
  }
  return {
    targetModules: targets,
    excludeModules,
    layersToTransform: layersToTransform.length > 0 ? layersToTransform : undefined,
  };
}

/** A configuration whose targets the model has. */
function checked<C extends Pick<CommonConfig, 'targetModules' | 'modulesToSave'>>(rule: C, config: ModelConfig): C {
  const heads = Object.keys(config.architecture.heads) as HeadKind[];
  const layers = [...linearLayers(config), ...embeddingTables(config)].map(({ name }) => name);
  targetedModules(
    [...layers, ...heads.flatMap((kind) => vocabularyLayers(config, kind)).map(({ name }) => name)],
    rule,
  );
  return rule;
}
