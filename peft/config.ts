/** Room: peft. What a PEFT method is configured with: `adapter_config.json` with the keys of Hugging Face PEFT 0.21, per method. */
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { preview, validate } from '../engine/io/files.ts';
import { bottleneckConfigFor, bottleneckJson, bottleneckSize, parseBottleneck } from './bottleneck/config.ts';
import type { BottleneckConfig } from './bottleneck/config.ts';
import { ia3ConfigFor, ia3Json, parseIa3, type Ia3Config } from './ia3/config.ts';
import type { RawConfig } from './keys.ts';
import { loraConfigFor, loraJson, loraRank, loraScaling, parseLora, type LoraConfig } from './lora/config.ts';
import type { PeftModule } from './module.ts';

export type PeftConfig = LoraConfig | Ia3Config | BottleneckConfig;

/** What a method's `peft_type` and keys mean here. */
interface Format<C extends PeftConfig> {
  parse(raw: RawConfig, file: string): C;
  /** The file's content. */
  json(config: C): Record<string, unknown>;
  /** The configuration that means exactly these modules, with their ranks and scalings, to PEFT as well. */
  configFor(modules: readonly PeftModule[], config: C): C;
  /** Ranks of a fresh module; 0 for methods without. */
  ranks(name: string, config: C): number;
  /** Factor of a fresh module's Δ. */
  scaling(name: string, config: C): number;
}

const lora: Format<LoraConfig> = {
  parse: parseLora,
  json: loraJson,
  configFor: loraConfigFor,
  ranks: loraRank,
  scaling: loraScaling,
};
const ia3: Format<Ia3Config> = {
  parse: parseIa3,
  json: ia3Json,
  configFor: ia3ConfigFor,
  ranks: () => 0,
  scaling: () => 1,
};
const bottleneck: Format<BottleneckConfig> = {
  parse: parseBottleneck,
  json: bottleneckJson,
  configFor: bottleneckConfigFor,
  ranks: bottleneckSize,
  scaling: (_, config) => (typeof config.scaling === 'number' ? config.scaling : 1),
};

/** By `peft_type`. */
const FORMATS = { LORA: lora, IA3: ia3, BOTTLENECK: bottleneck } as const;
const TYPES = { lora: 'LORA', dora: 'LORA', ia3: 'IA3', bottleneck: 'BOTTLENECK' } as const;

function formatOf(config: PeftConfig): Format<PeftConfig> {
  return FORMATS[TYPES[config.method]];
}

/**
 * Checks the content of an `adapter_config.json`.
 * @throws UserError naming the key for another PEFT type, a feature that is not supported, or a wrong value
 */
export function parsePeftConfig(raw: unknown, file: string): PeftConfig {
  const object = validate(raw, z.record(z.string(), z.unknown()), file);
  const type = Object.keys(FORMATS).find((t) => t === object.peft_type) as keyof typeof FORMATS | undefined;
  if (type !== undefined) return FORMATS[type].parse(object, file);
  throw new UserError(
    `${file}: key "peft_type": found ${preview(object.peft_type)}, expected "LORA", "IA3" or "BOTTLENECK"`,
  );
}

/** The content of `adapter_config.json`, keys sorted as PEFT sorts them. */
export function peftConfigJson(config: PeftConfig): Record<string, unknown> {
  return Object.fromEntries(Object.entries(formatOf(config).json(config)).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * The configuration that means exactly `modules`: they are targeted by their whole names, and ranks and scalings that are not
 * the configuration's own become patterns. It describes without loss what pruning left, to PEFT as well.
 */
export function configFor(modules: readonly PeftModule[], config: PeftConfig): PeftConfig {
  return formatOf(config).configFor(modules, config);
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
  const format = formatOf(config);
  const sizes = { name, inFeatures, outFeatures, ...(isEmbedding && { isEmbedding }) };
  return { ...sizes, ranks: format.ranks(name, config), scaling: format.scaling(name, config) };
}
