/**
 * Room: peft/adapterhub. `adapter_config.json` as AdapterHub's `adapters` library writes it for bottleneck adapters (`BnConfig`): sizes are
 * given as reduction factors of the hidden size, by layer where they differ; layers without adapters are `leave_out`.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { validate } from '../../engine/io/files.ts';
import { ACTIVATION_NAMES, linearName, type ModelConfig } from '../../models/architecture.ts';
import { activationKey, hubKeys, type BottleneckConfig } from '../bottleneck/config.ts';
import type { PeftModule } from '../module.ts';

const factor = z.number().positive();
const off = z.union([z.literal(false), z.null(), z.literal(0)]).optional();

/** Keys of `config`. What is not supported must be off. */
const bnSchema = z.looseObject({
  architecture: z.enum(['bottleneck']).nullish(),
  ...hubKeys,
  mh_adapter: z.boolean(),
  output_adapter: z.boolean(),
  reduction_factor: z.union([factor, z.record(z.string(), factor)]),
  is_parallel: z.boolean().default(false),
  dropout: z.number().min(0).lt(1).default(0),
  leave_out: z.array(z.int().nonnegative()).nullish(),
  original_ln_after: z.literal(true).default(true),
  ln_before: off,
  ln_after: off,
  use_gating: off,
  inv_adapter: off,
  phm_layer: off,
  stochastic_depth: off,
});

const fileSchema = z.looseObject({
  name: z.string().min(1),
  model_type: z.string(),
  hidden_size: z.int().positive().nullish(),
  version: z.string().optional(),
  config: z.record(z.string(), z.unknown()),
});

export interface HubConfig {
  /** The adapter's name, part of its keys. */
  readonly name: string;
  readonly config: BottleneckConfig;
  /** Adapted layers with the ranks of their adapters. */
  readonly layers: readonly { readonly layer: number; readonly ranks: number }[];
  readonly roles: readonly ('attentionOutput' | 'down')[];
}

/** Libraries before 1.0 of the format called activations otherwise. */
const OLD_ACTIVATIONS: Readonly<Record<string, string>> = { gelu: 'gelu_new', gelu_orig: 'gelu' };

/** @throws UserError for another base, or naming the key of a feature that is not supported */
export function parseHubConfig(raw: unknown, file: string, model: ModelConfig): HubConfig {
  const { name, model_type: family, hidden_size: hidden, version, config } = validate(raw, fileSchema, file);
  if (family !== model.family || (hidden ?? model.hiddenSize) !== model.hiddenSize) {
    const found = `for ${family} of hidden size ${hidden ?? 'unknown'}`;
    throw new UserError(`${file}: ${found}, the base is ${model.family} of hidden size ${model.hiddenSize}`);
  }
  const old = version === undefined ? OLD_ACTIVATIONS[String(config.non_linearity)] : undefined;
  const keys = validate(old === undefined ? config : { ...config, non_linearity: old }, bnSchema, `${file}: config`);
  const left = new Set(keys.leave_out ?? []);
  const layers = Array.from({ length: model.numLayers }, (_, layer) => layer).filter((layer) => !left.has(layer));
  const ranks = layers.map((layer) =>
    Math.max(1, Math.floor(model.hiddenSize / reduction(keys.reduction_factor, layer, file))),
  );
  const roles = (['attentionOutput', 'down'] as const).filter((_, i) =>
    i === 0 ? keys.mh_adapter : keys.output_adapter,
  );
  const names = layers.flatMap((layer) => roles.map((role) => linearName(model, layer, role)));
  const size = ranks[0] ?? 1;
  const others = layers.flatMap((layer, i) =>
    ranks[i] === size ? [] : roles.map((role) => [linearName(model, layer, role), ranks[i]!] as const),
  );
  return {
    name,
    layers: layers.map((layer, i) => ({ layer, ranks: ranks[i]! })),
    roles,
    config: {
      method: 'bottleneck',
      targetModules: names,
      modulesToSave: [],
      taskType: null,
      baseModel: null,
      size,
      sizePattern: Object.fromEntries(others),
      nonLinearity: ACTIVATION_NAMES[keys.non_linearity],
      dropout: keys.dropout,
      scaling: keys.scaling,
      parallel: keys.is_parallel,
      biases: true,
      dropoutPlace: 'output',
      normBefore: keys.original_ln_before,
      residual: keys.residual_before_ln,
      init: keys.init_weights,
      extra: {},
    },
  };
}

function reduction(factors: number | Readonly<Record<string, number>>, layer: number, file: string): number {
  const found = typeof factors === 'number' ? factors : (factors[String(layer)] ?? factors.default);
  if (found !== undefined) return found;
  throw new UserError(`${file}: key "config.reduction_factor": nothing for layer ${layer}, and no "default"`);
}

/** What AdapterHub's `BnConfig` has beside what is read here, at its defaults. */
const REST = {
  adapter_residual_before_ln: false,
  cross_adapter: false,
  factorized_phm_W: true,
  factorized_phm_rule: false,
  hypercomplex_nonlinearity: 'glorot-uniform',
  inv_adapter: null,
  inv_adapter_reduction_factor: null,
  learn_phm: true,
  ln_after: false,
  ln_before: false,
  original_ln_after: true,
  phm_bias: true,
  phm_c_init: 'normal',
  phm_dim: 4,
  phm_init_range: 0.0001,
  phm_layer: false,
  phm_rank: 1,
  shared_W_phm: false,
  shared_phm_rule: true,
  stochastic_depth: 0,
  use_gating: false,
};

/** Ranks of each layer's adapters: the larger of its two. Layers without are absent. */
export function layerSizes(modules: readonly PeftModule[], model: ModelConfig): Map<number, number> {
  const sizes = new Map<number, number>();
  for (let layer = 0; layer < model.numLayers; layer++) {
    const names = (['attentionOutput', 'down'] as const).map((role) => linearName(model, layer, role));
    const ranks = modules.filter((m) => names.includes(m.name)).map((m) => m.ranks);
    if (ranks.length > 0) sizes.set(layer, Math.max(...ranks));
  }
  return sizes;
}

/** The content of `adapter_config.json`, keys sorted. */
export function hubConfigJson(
  name: string,
  config: BottleneckConfig,
  sizes: ReadonlyMap<number, number>,
  roles: readonly string[],
  model: ModelConfig,
  modelClass: string,
): Record<string, unknown> {
  const factors = [...sizes].map(([layer, ranks]) => [String(layer), factorFor(model.hiddenSize, ranks)] as const);
  const same = new Set(factors.map(([, f]) => f)).size <= 1;
  const left = Array.from({ length: model.numLayers }, (_, layer) => layer).filter((layer) => !sizes.has(layer));
  const keys = {
    ...REST,
    mh_adapter: roles.includes('attentionOutput'),
    output_adapter: roles.includes('down'),
    reduction_factor: same ? (factors[0]?.[1] ?? 1) : Object.fromEntries(factors),
    leave_out: left,
    non_linearity: activationKey(config.nonLinearity),
    scaling: config.scaling,
    is_parallel: config.parallel,
    dropout: config.dropout,
    original_ln_before: config.normBefore,
    residual_before_ln: config.residual,
    init_weights: config.init,
  };
  return {
    config: Object.fromEntries(Object.entries(keys).sort(([a], [b]) => (a < b ? -1 : 1))),
    hidden_size: model.hiddenSize,
    model_class: modelClass,
    model_name: null,
    model_type: model.family,
    name,
    version: 'adapters.1.0.0',
  };
}

/** A factor by which the library's floor division finds this size again. */
function factorFor(hidden: number, ranks: number): number {
  return hidden % ranks === 0 ? hidden / ranks : hidden / (ranks + 0.5);
}
