/** Room: peft/lora. PEFT's `LoraConfig`, for LoRA and, with `use_dora`, for DoRA. */
import { z } from 'zod';
import { validate } from '../../engine/io/files.ts';
import {
  commonConfig,
  commonJson,
  commonKeys,
  extraKeys,
  list,
  nameRule,
  patternOf,
  probability,
  size,
  type CommonConfig,
  type RawConfig,
} from '../keys.ts';
import type { PeftModule } from '../module.ts';
import { patternValue } from '../targets.ts';

export interface LoraConfig extends CommonConfig {
  readonly method: 'lora' | 'dora';
  readonly r: number;
  readonly alpha: number;
  /** Other ranks and alphas by the end of the module's name (a regular expression); the first match counts. */
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  /** Scaling α/√r (Kalajdzievski 2023) in place of α/r. */
  readonly useRslora: boolean;
  /** Biases of the base that train along: of every layer, or of those with a module. */
  readonly bias: 'none' | 'all' | 'lora_only';
  /** How a fresh adapter starts. None of these changes the base weights. */
  readonly init: boolean | 'gaussian' | 'eva' | 'orthogonal';
}

/** f32 has only infinity beyond. */
const positive = z.number().positive().max(3.4e38);

const schema = z.looseObject({
  ...commonKeys,
  r: size.default(8),
  lora_alpha: positive.default(8),
  lora_dropout: probability.default(0),
  bias: z.enum(['none', 'all', 'lora_only']).default('none'),
  exclude_modules: nameRule,
  layers_to_transform: list(z.int().nonnegative()),
  layers_pattern: list(z.string()).transform((p) => p ?? []),
  rank_pattern: patternOf(size),
  alpha_pattern: patternOf(positive),
  use_rslora: z.boolean().default(false),
  use_dora: z.boolean().default(false),
  init_lora_weights: z.union([z.boolean(), z.enum(['gaussian', 'eva', 'orthogonal'])]).default(true),
});

/** Keys of PEFT 0.21 without a meaning here, with their values when unused. */
const UNUSED = {
  alora_invocation_tokens: null,
  arrow_config: null,
  auto_mapping: null,
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  fan_in_fan_out: false,
  inference_mode: true,
  kasa_config: null,
  layer_replication: null,
  loftq_config: {},
  lora_bias: false,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: 'megatron.core',
  monteclora_config: null,
  peft_version: '0.21.0',
  qalora_group_size: 16,
  revision: null,
  target_parameters: null,
  trainable_token_indices: null,
  use_bdlora: null,
  use_qalora: false,
  velora_config: null,
};

/**
 * Of these, those that may have any value. `fan_in_fan_out` tells PEFT how files store GPT-2's matrices; the factors have the
 * same shapes either way.
 */
const HARMLESS = new Set([
  'auto_mapping',
  'corda_config',
  'eva_config',
  'fan_in_fan_out',
  'inference_mode',
  'loftq_config',
  'lora_ga_config',
  'megatron_config',
  'megatron_core',
  'peft_version',
  'qalora_group_size',
  'revision',
]);

export function parseLora(raw: RawConfig, file: string): LoraConfig {
  const c = validate(raw, schema, file);
  return {
    method: c.use_dora ? 'dora' : 'lora',
    ...commonConfig(c),
    r: c.r,
    alpha: c.lora_alpha,
    dropout: c.lora_dropout,
    bias: c.bias,
    excludeModules: c.exclude_modules,
    layersToTransform: c.layers_to_transform,
    layersPattern: c.layers_pattern,
    rankPattern: c.rank_pattern,
    alphaPattern: c.alpha_pattern,
    useRslora: c.use_rslora,
    init: c.init_lora_weights,
    extra: extraKeys(raw, schema.shape, HARMLESS, file),
  };
}

export function loraJson(config: LoraConfig): Record<string, unknown> {
  return {
    ...UNUSED,
    ...commonJson(config),
    peft_type: 'LORA',
    r: config.r,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    bias: config.bias,
    exclude_modules: config.excludeModules ?? null,
    layers_to_transform: config.layersToTransform ?? null,
    layers_pattern: config.layersPattern?.length ? config.layersPattern : null,
    rank_pattern: config.rankPattern,
    alpha_pattern: config.alphaPattern,
    use_rslora: config.useRslora,
    use_dora: config.method === 'dora',
    init_lora_weights: config.init,
  };
}

export function loraRank(name: string, config: LoraConfig): number {
  return patternValue(name, config.rankPattern, config.r, 'rank_pattern');
}

/** α of the module `name`. */
export function alphaFor(name: string, config: LoraConfig): number {
  return patternValue(name, config.alphaPattern, config.alpha, 'alpha_pattern');
}

/** α/r, or α/√r with rsLoRA. */
export function loraScaling(name: string, config: LoraConfig): number {
  const r = loraRank(name, config);
  return alphaFor(name, config) / (config.useRslora ? Math.sqrt(r) : r);
}

/** The configuration that means exactly `modules`, by patterns of whole names. */
export function loraConfigFor(modules: readonly PeftModule[], config: LoraConfig): LoraConfig {
  const divisor = ({ ranks }: PeftModule): number => (config.useRslora ? Math.sqrt(ranks) : ranks);
  const others = modules.filter((m) => m.scaling !== config.alpha / divisor(m));
  return {
    ...config,
    targetModules: modules.map(({ name }) => name),
    excludeModules: undefined,
    layersToTransform: undefined,
    layersPattern: [],
    rankPattern: Object.fromEntries(modules.filter((m) => m.ranks !== config.r).map((m) => [m.name, m.ranks])),
    alphaPattern: Object.fromEntries(others.map((m) => [m.name, m.scaling * divisor(m)])),
  };
}
