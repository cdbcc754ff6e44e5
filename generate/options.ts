/** Room: generate. How a model's folder says it generates, under transformers' names, and what a user asks for instead. */
import { option } from '../engine/errors.ts';
import { join } from 'node:path';
import { z } from 'zod';
import { exists, preview, readJson } from '../engine/io/files.ts';
import { UserError } from '../engine/errors.ts';
import type { ModelConfig } from '../models/architecture.ts';
import { endTokens } from '../models/config.ts';
import { UNCONSTRAINED, type Constraints } from './constraints.ts';
import type { Sampling } from './sampling.ts';

/** What transformers takes where nothing is said. */
const DEFAULTS: Sampling = { temperature: 1, topK: 50, topP: 1 };

const token = z.int().nonnegative();
const fileSchema = z.looseObject({
  eos_token_id: z.union([token, z.array(token)]).nullish(),
  do_sample: z.boolean().nullish(),
  temperature: z.number().nonnegative().nullish(),
  top_k: z.int().nonnegative().nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().positive().nullish(),
  min_new_tokens: z.int().nonnegative().nullish(),
  stop_strings: z.union([z.string(), z.array(z.string())]).nullish(),
});

type ConfigFile = z.infer<typeof fileSchema>;

/** Keys of transformers that bear on the text and are not supported, with the value at which they do nothing; null never does. */
const UNSUPPORTED: Readonly<Record<string, unknown>> = {
  bad_words_ids: null,
  begin_suppress_tokens: null,
  constraints: null,
  dola_layers: null,
  encoder_no_repeat_ngram_size: 0,
  encoder_repetition_penalty: 1,
  exponential_decay_length_penalty: null,
  force_words_ids: null,
  forced_bos_token_id: null,
  forced_eos_token_id: null,
  guidance_scale: 1,
  max_time: null,
  min_length: 0,
  no_repeat_ngram_size: 0,
  num_beam_groups: 1,
  num_beams: 1,
  num_return_sequences: 1,
  penalty_alpha: 0,
  sequence_bias: null,
  suppress_tokens: null,
  token_healing: false,
  watermarking_config: null,
};

/** The same of keys that bear on drawing alone. */
const UNSUPPORTED_SAMPLING: Readonly<Record<string, unknown>> = {
  epsilon_cutoff: 0,
  eta_cutoff: 0,
  min_p: 0,
  top_h: null,
  typical_p: 1,
};

/** Asked for by the user; what is absent is the model's own. */
export interface GenerationOverrides extends Partial<Sampling>, Partial<Constraints> {
  readonly doSample?: boolean;
  readonly greedy?: boolean;
  readonly stop?: readonly string[];
}

export interface GenerationConfig {
  /** Tokens that end a text. */
  readonly endIds: ReadonlySet<number>;
  /** Texts that end a text; they are part of it. */
  readonly stop: readonly string[];
  /** Undefined: greedy. */
  readonly sampling: Sampling | undefined;
  readonly constraints: Constraints;
  /** Keys of the file that transformers would heed and that are not supported, with their values. */
  readonly ignored: readonly string[];
}

/**
 * `generation_config.json`, where there is one, under what the user asks for: naming a temperature, top-k or top-p asks to sample.
 * @throws UserError for a value out of range, and where both greedy and sampling are asked for
 */
export async function generationConfig(
  dir: string,
  config: ModelConfig,
  overrides: GenerationOverrides,
): Promise<GenerationConfig> {
  const path = join(dir, 'generation_config.json');
  const file = (await exists(path)) ? await readJson(path, fileSchema) : {};
  check(overrides);
  const sampling = samplingOf(file, overrides);
  return {
    endIds: new Set([file.eos_token_id ?? endTokens(config)].flat()),
    stop: (overrides.stop ?? [file.stop_strings ?? []].flat()).filter((text) => text !== ''),
    sampling,
    constraints: {
      repetitionPenalty: overrides.repetitionPenalty ?? file.repetition_penalty ?? UNCONSTRAINED.repetitionPenalty,
      minNewTokens: overrides.minNewTokens ?? file.min_new_tokens ?? UNCONSTRAINED.minNewTokens,
    },
    ignored: Object.entries(sampling ? { ...UNSUPPORTED, ...UNSUPPORTED_SAMPLING } : UNSUPPORTED)
      .filter(([key, neutral]) => changes(file[key], neutral))
      .map(([key]) => `${key} (${preview(file[key])})`),
  };
}

function changes(value: unknown, neutral: unknown): boolean {
  const isNone = value === undefined || value === null || (Array.isArray(value) && value.length === 0);
  return !isNone && value !== neutral;
}

function samplingOf(file: ConfigFile, overrides: GenerationOverrides): Sampling | undefined {
  const { greedy, temperature, topK, topP } = overrides;
  if (greedy || !(asksToSample(overrides) || file.do_sample)) return undefined;
  return {
    temperature: temperature ?? (file.temperature || DEFAULTS.temperature),
    topK: topK ?? file.top_k ?? DEFAULTS.topK,
    topP: topP ?? file.top_p ?? DEFAULTS.topP,
  };
}

function asksToSample({ doSample, temperature, topK, topP }: GenerationOverrides): boolean {
  return doSample === true || temperature !== undefined || topK !== undefined || topP !== undefined;
}

function check(overrides: GenerationOverrides): void {
  const { greedy, temperature = 1, topK = 0, topP = 1, repetitionPenalty = 1, minNewTokens = 0, stop = [] } = overrides;
  if (greedy && asksToSample(overrides))
    throw new UserError(`${option('greedy')}: takes the most likely token; leave out the options of sampling`);
  const refuse = (name: string, found: number, expected: string): never => {
    throw new UserError(`${option(name)}: found ${found}, expected ${expected}`);
  };
  if (!(temperature > 0))
    refuse('temperature', temperature, `a number above 0; for the most likely token say ${option('greedy')}`);
  if (!(Number.isInteger(topK) && topK >= 0)) refuse('topK', topK, 'an integer from 0 (0 = all)');
  if (!(topP > 0 && topP <= 1)) refuse('topP', topP, 'a number in (0, 1]');
  if (!(repetitionPenalty > 0)) refuse('repetitionPenalty', repetitionPenalty, 'a number above 0 (1 = none)');
  if (!(Number.isInteger(minNewTokens) && minNewTokens >= 0)) refuse('minNewTokens', minNewTokens, 'an integer from 0');
  if (stop.includes(''))
    throw new UserError(`${option('stop')}: found an empty text, expected one that ends an answer`);
}
