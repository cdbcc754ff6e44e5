/**
 * Room: peft. What a PEFT method is configured with, and its `adapter_config.json`: read from and written with the keys of
 * Hugging Face PEFT 0.21. The formats:
 *
 * - LoRA: `LoraConfig` of PEFT. Keys that do not change what is computed are kept and written back as they were; a key that
 *   does, and is not supported, is refused.
 * - Bottleneck adapters: PEFT itself has none. The keys and `peft_type` BOTTLENECK are those of the LLM-Adapters fork (Hu et
 *   al. 2023) without biases, with `bottleneck_size_pattern` added (like `rank_pattern`) for adapters that were pruned.
 *   `target_modules` name the projections an adapter follows.
 */
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { preview, validate } from '../engine/io/files.ts';
import { ACTIVATION_NAMES, type Activation } from '../models/architecture.ts';
import type { PeftModule } from './module.ts';
import { patternValue, type TargetRule } from './targets.ts';

interface CommonConfig extends TargetRule {
  readonly modulesToSave: readonly string[];
  /** Dropout of the modules' input, in [0, 1). */
  readonly dropout: number;
  /** PEFT's task type, e.g. `SEQ_CLS`. */
  readonly taskType: string | null;
  readonly baseModel: string | null;
  /** Keys of the file that have no meaning here, to be written back. */
  readonly extra: Readonly<Record<string, unknown>>;
}

export interface LoraConfig extends CommonConfig {
  readonly method: 'lora';
  readonly r: number;
  readonly alpha: number;
  /** Other ranks and alphas by the end of the module's name (a regular expression); the first match counts. */
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  /** Scaling α/√r (Kalajdzievski 2023) in place of α/r. */
  readonly useRslora: boolean;
  /** How a fresh adapter starts. None of these changes the base weights. */
  readonly init: boolean | 'gaussian' | 'eva' | 'orthogonal';
}

export interface BottleneckConfig extends CommonConfig {
  readonly method: 'bottleneck';
  readonly size: number;
  /** Other sizes by the end of the module's name, as `rankPattern`. */
  readonly sizePattern: Readonly<Record<string, number>>;
  readonly nonLinearity: Activation;
  readonly scaling: number;
  readonly parallel: boolean;
  /** `bert`: normal(0, 0.02) both; `mam_adapter`: Kaiming-uniform down, zero up. */
  readonly init: 'bert' | 'mam_adapter';
}

export type PeftConfig = LoraConfig | BottleneckConfig;

/** Ranks of the module `name`: LoRA's r, or the bottleneck's size. */
export function rankFor(name: string, config: PeftConfig): number {
  return config.method === 'lora'
    ? patternValue(name, config.rankPattern, config.r, 'rank_pattern')
    : patternValue(name, config.sizePattern, config.size, 'bottleneck_size_pattern');
}

/** LoRA's α of the module `name`. */
export function alphaFor(name: string, config: LoraConfig): number {
  return patternValue(name, config.alphaPattern, config.alpha, 'alpha_pattern');
}

/** Factor of Δ: α/r, α/√r with rsLoRA, or the adapter's own. */
export function scalingFor(name: string, config: PeftConfig): number {
  if (config.method === 'bottleneck') return config.scaling;
  const r = rankFor(name, config);
  return alphaFor(name, config) / (config.useRslora ? Math.sqrt(r) : r);
}

/** Parameter names of a module's factors: its keys in `adapter_model.safetensors` without their prefix. */
export function factorNames(
  name: string,
  method: PeftConfig['method'],
): { readonly down: string; readonly up: string } {
  return method === 'lora'
    ? { down: `${name}.lora_A.weight`, up: `${name}.lora_B.weight` }
    : { down: `${name}.adapter_down.weight`, up: `${name}.adapter_up.weight` };
}

/**
 * The configuration that means exactly `modules`: they are targeted by their whole names, and ranks and scalings that are not
 * the configuration's own become patterns. It describes without loss what pruning left, to PEFT as well.
 */
export function configFor(modules: readonly PeftModule[], config: PeftConfig): PeftConfig {
  const targetModules = modules.map(({ name }) => name);
  const ranksBeside = (rank: number): Record<string, number> =>
    Object.fromEntries(modules.filter((m) => m.ranks !== rank).map((m) => [m.name, m.ranks]));
  if (config.method === 'bottleneck') return { ...config, targetModules, sizePattern: ranksBeside(config.size) };
  const divisor = ({ ranks }: PeftModule): number => (config.useRslora ? Math.sqrt(ranks) : ranks);
  const others = modules.filter((m) => m.scaling !== config.alpha / divisor(m));
  return {
    ...config,
    targetModules,
    excludeModules: undefined,
    layersToTransform: undefined,
    layersPattern: [],
    rankPattern: ranksBeside(config.r),
    alphaPattern: Object.fromEntries(others.map((m) => [m.name, m.scaling * divisor(m)])),
  };
}

const names = z.array(z.string().min(1));
const probability = z.number().min(0).lt(1);
const patternOf = (value: z.ZodType<number>): z.ZodType<Record<string, number>> =>
  z
    .record(z.string(), value)
    .nullish()
    .transform((p) => p ?? {});
const size = z.int().positive();
const list = <T>(item: z.ZodType<T>): z.ZodType<T[] | undefined> =>
  z
    .union([z.array(item), item])
    .nullish()
    .transform((v) => (v === null || v === undefined ? undefined : Array.isArray(v) ? v : [v]));

const commonKeys = {
  target_modules: z.union([names, z.string().min(1)]),
  modules_to_save: names.nullish().transform((m) => m ?? []),
  task_type: z.string().nullish(),
  base_model_name_or_path: z.string().nullish(),
  bias: z.literal('none').default('none'),
};
const loraSchema = z.looseObject({
  ...commonKeys,
  r: size.default(8),
  lora_alpha: z.number().positive().default(8),
  lora_dropout: probability.default(0),
  exclude_modules: z
    .union([names, z.string()])
    .nullish()
    .transform((m) => (m === null || m?.length === 0 ? undefined : m)),
  layers_to_transform: list(z.int().nonnegative()),
  layers_pattern: list(z.string()).transform((p) => p ?? []),
  rank_pattern: patternOf(size),
  alpha_pattern: patternOf(z.number().positive()),
  use_rslora: z.boolean().default(false),
  init_lora_weights: z.union([z.boolean(), z.enum(['gaussian', 'eva', 'orthogonal'])]).default(true),
});
const bottleneckSchema = z.looseObject({
  ...commonKeys,
  bottleneck_size: size.default(256),
  bottleneck_size_pattern: patternOf(size),
  non_linearity: z.enum(Object.keys(ACTIVATION_NAMES) as (keyof typeof ACTIVATION_NAMES)[]).default('tanh'),
  adapter_dropout: probability.default(0),
  scaling: z.number().default(1),
  use_parallel_adapter: z.boolean().default(false),
  init_weights: z.enum(['bert', 'mam_adapter']).default('bert'),
});

/** Keys of LoRA in PEFT 0.21 without a meaning here, with their values when unused. */
const LORA_UNUSED = {
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
  use_dora: false,
  use_qalora: false,
  velora_config: null,
};

/** Of the keys without a meaning here, those that may have any value: they change nothing of what is computed. */
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

/** Refuses every other key that is switched on, be it one of a later PEFT. */
function extraKeys(raw: Readonly<Record<string, unknown>>, known: object, file: string): Record<string, unknown> {
  const extra = Object.entries(raw).filter(([key]) => key !== 'peft_type' && !Object.hasOwn(known, key));
  const isOff = (value: unknown): boolean =>
    value === null || value === false || (typeof value === 'object' && Object.keys(value).length === 0);
  const wrong = extra.find(([key, value]) => !HARMLESS.has(key) && !isOff(value));
  if (!wrong) return Object.fromEntries(extra);
  throw new UserError(
    `${file}: key "${wrong[0]}": found ${preview(wrong[1])}, which is not supported; expected it off`,
  );
}

function parseLora(raw: Readonly<Record<string, unknown>>, file: string): LoraConfig {
  const c = validate(raw, loraSchema, file);
  return {
    method: 'lora',
    r: c.r,
    alpha: c.lora_alpha,
    dropout: c.lora_dropout,
    targetModules: c.target_modules,
    excludeModules: c.exclude_modules,
    layersToTransform: c.layers_to_transform,
    layersPattern: c.layers_pattern,
    rankPattern: c.rank_pattern,
    alphaPattern: c.alpha_pattern,
    useRslora: c.use_rslora,
    modulesToSave: c.modules_to_save,
    taskType: c.task_type ?? null,
    baseModel: c.base_model_name_or_path ?? null,
    init: c.init_lora_weights,
    extra: extraKeys(raw, loraSchema.shape, file),
  };
}

function parseBottleneck(raw: Readonly<Record<string, unknown>>, file: string): BottleneckConfig {
  const c = validate(raw, bottleneckSchema, file);
  return {
    method: 'bottleneck',
    size: c.bottleneck_size,
    sizePattern: c.bottleneck_size_pattern,
    nonLinearity: ACTIVATION_NAMES[c.non_linearity],
    dropout: c.adapter_dropout,
    scaling: c.scaling,
    parallel: c.use_parallel_adapter,
    targetModules: c.target_modules,
    modulesToSave: c.modules_to_save,
    taskType: c.task_type ?? null,
    baseModel: c.base_model_name_or_path ?? null,
    init: c.init_weights,
    extra: extraKeys(raw, bottleneckSchema.shape, file),
  };
}

/**
 * Checks the content of an `adapter_config.json`.
 * @throws UserError naming the key for another PEFT type, a feature that is not supported, or a wrong value
 */
export function parsePeftConfig(raw: unknown, file: string): PeftConfig {
  const object = validate(raw, z.record(z.string(), z.unknown()), file);
  if (object.peft_type === 'LORA') return parseLora(object, file);
  if (object.peft_type === 'BOTTLENECK') return parseBottleneck(object, file);
  throw new UserError(`${file}: key "peft_type": found ${preview(object.peft_type)}, expected "LORA" or "BOTTLENECK"`);
}

/** The content of `adapter_config.json`, keys sorted as PEFT sorts them. */
export function peftConfigJson(config: PeftConfig): Record<string, unknown> {
  const keys = { ...commonJson(config), ...(config.method === 'lora' ? loraJson(config) : bottleneckJson(config)) };
  return Object.fromEntries(Object.entries(keys).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function commonJson(config: PeftConfig): Record<string, unknown> {
  return {
    ...(config.method === 'lora' ? LORA_UNUSED : { inference_mode: true }),
    ...config.extra,
    target_modules: config.targetModules,
    modules_to_save: config.modulesToSave.length > 0 ? config.modulesToSave : null,
    task_type: config.taskType,
    base_model_name_or_path: config.baseModel,
    bias: 'none',
  };
}

function loraJson(config: LoraConfig): Record<string, unknown> {
  return {
    peft_type: 'LORA',
    r: config.r,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    exclude_modules: config.excludeModules ?? null,
    layers_to_transform: config.layersToTransform ?? null,
    layers_pattern: config.layersPattern?.length ? config.layersPattern : null,
    rank_pattern: config.rankPattern,
    alpha_pattern: config.alphaPattern,
    use_rslora: config.useRslora,
    init_lora_weights: config.init,
  };
}

function bottleneckJson(config: BottleneckConfig): Record<string, unknown> {
  const nonLinearity = Object.entries(ACTIVATION_NAMES).find(([, name]) => name === config.nonLinearity);
  return {
    peft_type: 'BOTTLENECK',
    bottleneck_size: config.size,
    bottleneck_size_pattern: config.sizePattern,
    non_linearity: nonLinearity?.[0],
    adapter_dropout: config.dropout,
    scaling: config.scaling,
    use_parallel_adapter: config.parallel,
    init_weights: config.init,
  };
}
