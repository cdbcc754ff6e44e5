/**
 * Room: peft. The registry of methods: what each is configured with (`adapter_config.json` with the keys of Hugging Face PEFT 0.21) and
 * made of.
 */
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { preview, validate } from '../engine/io/files.ts';
import { bottleneckConfigFor, bottleneckJson, bottleneckSize, parseBottleneck } from './bottleneck/config.ts';
import type { BottleneckConfig } from './bottleneck/config.ts';
import { ia3ConfigFor, ia3Json, parseIa3, renamedIa3, type Ia3Config } from './ia3/config.ts';
import { Bottleneck } from './bottleneck/bottleneck.ts';
import { Dora } from './dora/dora.ts';
import { Ia3 } from './ia3/ia3.ts';
import { Lora } from './lora/lora.ts';
import type { CommonConfig, RawConfig } from './keys.ts';
import { loraConfigFor, loraJson, loraRank, loraScaling, parseLora, type LoraConfig } from './lora/config.ts';
import type { PeftMethod, PeftModule } from './module.ts';

/** The configuration of any method. */
export type PeftConfig = CommonConfig;

/** What a method is made of: the meaning of its configuration, its form in `adapter_config.json`, and its modules. */
export interface MethodType<C extends PeftConfig> {
  /** Its `peft_type`. */
  readonly peftType: string;
  /** From the file's content. @throws UserError naming the key */
  parse(raw: RawConfig, file: string): C;
  /** The file's content. */
  json(config: C): Record<string, unknown>;
  /** The configuration that means exactly these modules, with their ranks and scalings, to PEFT as well. */
  configFor(modules: readonly PeftModule[], config: C): C;
  /** What `configFor` gave, with other names in all that `configFor` does not write from the modules again; itself where this is absent. */
  rename?(config: C, rename: (name: string) => string): C;
  /** Ranks of a fresh module; 0 for methods without. */
  ranks(name: string, config: C): number;
  /** Factor of a fresh module's Δ. */
  scaling(name: string, config: C): number;
  /** The method with these modules. */
  create(config: C, modules: readonly PeftModule[]): PeftMethod;
}

const lora: MethodType<LoraConfig> = {
  peftType: 'LORA',
  parse: parseLora,
  json: loraJson,
  configFor: loraConfigFor,
  ranks: loraRank,
  scaling: loraScaling,
  create: (config, modules) => new Lora(config, modules),
};
const dora: MethodType<LoraConfig> = { ...lora, create: (config, modules) => new Dora(config, modules) };
const ia3: MethodType<Ia3Config> = {
  peftType: 'IA3',
  parse: parseIa3,
  json: ia3Json,
  configFor: ia3ConfigFor,
  rename: renamedIa3,
  ranks: () => 0,
  scaling: () => 1,
  create: (config, modules) => new Ia3(config, modules),
};
const bottleneck: MethodType<BottleneckConfig> = {
  peftType: 'BOTTLENECK',
  parse: parseBottleneck,
  json: bottleneckJson,
  configFor: bottleneckConfigFor,
  ranks: bottleneckSize,
  scaling: (_, config) => (typeof config.scaling === 'number' ? config.scaling : 1),
  create: (config, modules) => new Bottleneck(config, modules),
};

/** By the configurations' `method`. */
const TYPES = new Map<string, MethodType<PeftConfig>>(Object.entries({ lora, dora, ia3, bottleneck }));

/**
 * Makes a method known under the `method` of its configurations: models take it, and folders of its `peft_type` are read and written.
 * @throws Error for a name that is taken
 */
export function registerMethod<C extends PeftConfig>(name: string, type: MethodType<C>): void {
  if (TYPES.has(name)) throw new Error(`PEFT method ${name}: is registered already`);
  TYPES.set(name, type);
}

function typeOf({ method }: PeftConfig): MethodType<PeftConfig> {
  const type = TYPES.get(method);
  if (type) return type;
  throw new UserError(`PEFT method "${method}": not known, expected one of ${[...TYPES.keys()].join(', ')}`);
}

/** The method of a configuration with given modules. */
export function methodOf(config: PeftConfig, modules: readonly PeftModule[]): PeftMethod {
  return typeOf(config).create(config, modules);
}

/**
 * Checks the content of an `adapter_config.json`.
 * @throws UserError naming the key for another PEFT type, a feature that is not supported, or a wrong value
 */
export function parsePeftConfig(raw: unknown, file: string): PeftConfig {
  const object = validate(raw, z.record(z.string(), z.unknown()), file);
  const types = [...TYPES.values()];
  const type = types.find(({ peftType }) => peftType === object.peft_type);
  if (type) return type.parse(object, file);
  const expected = [...new Set(types.map(({ peftType }) => `"${peftType}"`))];
  throw new UserError(
    `${file}: key "peft_type": found ${preview(object.peft_type)}, expected ${expected.slice(0, -1).join(', ')} or ${expected.at(-1)}`,
  );
}

/** The content of `adapter_config.json`, keys sorted as PEFT sorts them. */
export function peftConfigJson(config: PeftConfig): Record<string, unknown> {
  return Object.fromEntries(Object.entries(typeOf(config).json(config)).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * The configuration that means exactly `modules`: they are targeted by their whole names, and ranks and scalings that are not
 * the configuration's own become patterns. It describes without loss what pruning left, to PEFT as well.
 */
export function configFor(modules: readonly PeftModule[], config: PeftConfig): PeftConfig {
  return typeOf(config).configFor(modules, config);
}

/** `configFor` of the same modules under other names. */
export function renamedConfigFor(
  modules: readonly PeftModule[],
  config: PeftConfig,
  rename: (name: string) => string,
): PeftConfig {
  const exact = configFor(modules, config);
  const others = modules.map((module) => ({ ...module, name: rename(module.name) }));
  return configFor(others, typeOf(config).rename?.(exact, rename) ?? exact);
}

/** The module that a configuration attaches to a layer. */
export function moduleFor(
  {
    name,
    inFeatures,
    outFeatures,
    isEmbedding,
  }: Pick<PeftModule, 'name' | 'inFeatures' | 'outFeatures' | 'isEmbedding'>,
  config: PeftConfig,
): PeftModule {
  const type = typeOf(config);
  const sizes = { name, inFeatures, outFeatures, ...(isEmbedding && { isEmbedding }) };
  return { ...sizes, ranks: type.ranks(name, config), scaling: type.scaling(name, config) };
}
