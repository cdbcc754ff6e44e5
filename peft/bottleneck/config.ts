/**
 * Room: peft/bottleneck. Bottleneck adapters in `adapter_config.json`. PEFT itself has none: `peft_type` BOTTLENECK and most keys are
 * those of the LLM-Adapters fork (Hu et al. 2023). Added here: `bottleneck_size_pattern`, like `rank_pattern`, for adapters that
 * were pruned; and what AdapterHub's adapters have beside them, under AdapterHub's names: biases, where the residual is taken, learned
 * scaling. AdapterHub's own folders are read and written by `peft/adapterhub.ts`.
 */
import { z } from 'zod';
import { validate } from '../../engine/io/files.ts';
import { ACTIVATION_NAMES, type Activation } from '../../models/architecture.ts';
import {
  commonConfig,
  commonJson,
  commonKeys,
  extraKeys,
  patternOf,
  probability,
  size,
  type CommonConfig,
  type RawConfig,
} from '../keys.ts';
import type { PeftModule } from '../module.ts';
import { patternValue } from '../targets.ts';

/** AdapterHub's `residual_before_ln`: what the adapter's output is added to, where it reads a normalised input. */
export type Residual = boolean | 'post_add';

export interface BottleneckConfig extends CommonConfig {
  readonly method: 'bottleneck';
  /** Ranks of a module. */
  readonly size: number;
  /** Other sizes by the end of the module's name, as `rankPattern`. */
  readonly sizePattern: Readonly<Record<string, number>>;
  readonly nonLinearity: Activation;
  /** A number, or trained with the adapter: one for all features, or one per feature. */
  readonly scaling: number | 'learned' | 'channel';
  /** Reads the sublayer's input instead of its output. */
  readonly parallel: boolean;
  readonly biases: boolean;
  /** Where dropout is: on what the adapter reads (LLM-Adapters), or on what it adds (AdapterHub). */
  readonly dropoutPlace: 'input' | 'output';
  /** AdapterHub's `original_ln_before`: reads the sum of output and residual, normalised. */
  readonly normBefore: boolean;
  readonly residual: Residual;
  /** `bert`: normal(0, 0.02); `mam_adapter` (as LoRA): Kaiming-uniform down, zero up; `houlsby`: normal(0, 0.01), cut at 2σ. */
  readonly init: 'bert' | 'mam_adapter' | 'houlsby';
}

export function isBottleneck(config: CommonConfig): config is BottleneckConfig {
  return config.method === 'bottleneck';
}

const nonLinearity = z.enum(Object.keys(ACTIVATION_NAMES) as (keyof typeof ACTIVATION_NAMES)[]);
const scaling = z.union([z.number(), z.enum(['learned', 'channel'])]);
const residual = z.union([z.boolean(), z.literal('post_add')]);
const init = z.enum(['bert', 'mam_adapter', 'houlsby']);

/** Keys that AdapterHub's configurations have too. */
export const hubKeys = {
  non_linearity: nonLinearity.default('relu'),
  scaling: scaling.default(1),
  original_ln_before: z.boolean().default(false),
  residual_before_ln: residual.default(true),
  init_weights: init.default('bert'),
};

const schema = z.looseObject({
  ...commonKeys,
  ...hubKeys,
  bottleneck_size: size.default(256),
  bottleneck_size_pattern: patternOf(size),
  non_linearity: nonLinearity.default('tanh'),
  adapter_dropout: probability.default(0),
  use_parallel_adapter: z.boolean().default(false),
  adapter_bias: z.boolean().default(false),
  dropout_place: z.enum(['input', 'output']).default('input'),
  bias: z.literal('none').default('none'),
});

const HARMLESS = new Set(['auto_mapping', 'inference_mode']);

export function parseBottleneck(raw: RawConfig, file: string): BottleneckConfig {
  const c = validate(raw, schema, file);
  return {
    method: 'bottleneck',
    ...commonConfig(c),
    size: c.bottleneck_size,
    sizePattern: c.bottleneck_size_pattern,
    nonLinearity: ACTIVATION_NAMES[c.non_linearity],
    dropout: c.adapter_dropout,
    scaling: c.scaling,
    parallel: c.use_parallel_adapter,
    biases: c.adapter_bias,
    dropoutPlace: c.dropout_place,
    normBefore: c.original_ln_before,
    residual: c.residual_before_ln,
    init: c.init_weights,
    extra: extraKeys(raw, schema.shape, HARMLESS, file),
  };
}

export function bottleneckJson(config: BottleneckConfig): Record<string, unknown> {
  return {
    inference_mode: true,
    ...commonJson(config),
    peft_type: 'BOTTLENECK',
    bias: 'none',
    bottleneck_size: config.size,
    bottleneck_size_pattern: config.sizePattern,
    non_linearity: activationKey(config.nonLinearity),
    adapter_dropout: config.dropout,
    scaling: config.scaling,
    use_parallel_adapter: config.parallel,
    init_weights: config.init,
    ...(config.biases && { adapter_bias: true }),
    ...(config.dropoutPlace === 'output' && { dropout_place: 'output' }),
    ...(config.normBefore && { original_ln_before: true, residual_before_ln: config.residual }),
  };
}

/** What transformers calls an activation. */
export function activationKey(name: Activation): string {
  if (name === 'silu') return 'swish';
  return Object.entries(ACTIVATION_NAMES).find(([, own]) => own === name)![0];
}

export function bottleneckSize(name: string, config: BottleneckConfig): number {
  return patternValue(name, config.sizePattern, config.size, 'bottleneck_size_pattern');
}

/** The configuration that means exactly `modules`. */
export function bottleneckConfigFor(modules: readonly PeftModule[], config: BottleneckConfig): BottleneckConfig {
  const others = modules.filter((m) => m.ranks !== config.size);
  return {
    ...config,
    targetModules: modules.map(({ name }) => name),
    sizePattern: Object.fromEntries(others.map((m) => [m.name, m.ranks])),
  };
}
