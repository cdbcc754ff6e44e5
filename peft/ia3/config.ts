/** Room: peft/ia3. PEFT's `IA3Config`. */
import { z } from 'zod';
import { validate } from '../../engine/io/files.ts';
import {
  commonConfig,
  commonJson,
  commonKeys,
  extraKeys,
  nameRule,
  type CommonConfig,
  type RawConfig,
} from '../keys.ts';
import type { PeftModule } from '../module.ts';
import { matchesNames } from '../targets.ts';

export interface Ia3Config extends CommonConfig {
  readonly method: 'ia3';
  /** Modules whose input is scaled rather than their output: names or a regular expression, as `targetModules`. */
  readonly feedforwardModules: readonly string[] | string | undefined;
  /** Whether fresh vectors are ones; else normal. */
  readonly init: boolean;
}

const schema = z.looseObject({
  ...commonKeys,
  exclude_modules: nameRule,
  feedforward_modules: nameRule,
  init_ia3_weights: z.boolean().default(true),
});

const UNUSED = {
  auto_mapping: null,
  fan_in_fan_out: false,
  inference_mode: true,
  peft_version: '0.21.0',
  revision: null,
};
const HARMLESS = new Set(Object.keys(UNUSED));

export function parseIa3(raw: RawConfig, file: string): Ia3Config {
  const c = validate(raw, schema, file);
  return {
    method: 'ia3',
    ...commonConfig(c),
    dropout: 0,
    excludeModules: c.exclude_modules,
    feedforwardModules: c.feedforward_modules,
    init: c.init_ia3_weights,
    extra: extraKeys(raw, schema.shape, HARMLESS, file),
  };
}

export function ia3Json(config: Ia3Config): Record<string, unknown> {
  return {
    ...UNUSED,
    ...commonJson(config),
    peft_type: 'IA3',
    exclude_modules: config.excludeModules ?? null,
    feedforward_modules: config.feedforwardModules ?? null,
    init_ia3_weights: config.init,
  };
}

export function isFeedforward(name: string, { feedforwardModules }: Ia3Config): boolean {
  return feedforwardModules !== undefined && matchesNames(name, feedforwardModules, 'feedforward_modules');
}

/** The configuration that means exactly `modules`. */
export function ia3ConfigFor(modules: readonly PeftModule[], config: Ia3Config): Ia3Config {
  const names = modules.map(({ name }) => name);
  return {
    ...config,
    targetModules: names,
    excludeModules: undefined,
    feedforwardModules: names.filter((name) => isFeedforward(name, config)),
  };
}

/** A configuration of `ia3ConfigFor` with other names. */
export function renamedIa3(config: Ia3Config, rename: (name: string) => string): Ia3Config {
  return { ...config, feedforwardModules: [config.feedforwardModules ?? []].flat().map(rename) };
}
