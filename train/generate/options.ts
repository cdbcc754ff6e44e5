/** Room: train. How a model's folder says it generates, under transformers' names, and what a user asks for instead. */
import { join } from 'node:path';
import { z } from 'zod';
import { exists, readJson } from '../../engine/io/files.ts';
import { UserError } from '../../engine/errors.ts';
import type { ModelConfig } from '../../models/architecture.ts';
import { endTokens } from '../../models/config.ts';
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
});

/** Asked for by the user; what is absent is the model's own. */
export interface Wanted extends Partial<Sampling> {
  readonly doSample?: boolean;
  readonly greedy?: boolean;
}

export interface GenerationConfig {
  /** Tokens that end a text. */
  readonly endIds: ReadonlySet<number>;
  /** Undefined: greedy. */
  readonly sampling: Sampling | undefined;
}

/**
 * `generation_config.json`, where there is one, under what the user asks for: naming a temperature, top-k or top-p asks to sample.
 * @throws UserError for a value out of range, and where both greedy and sampling are asked for
 */
export async function generationConfig(dir: string, config: ModelConfig, wanted: Wanted): Promise<GenerationConfig> {
  const path = join(dir, 'generation_config.json');
  const file = (await exists(path)) ? await readJson(path, fileSchema) : {};
  const ends = file.eos_token_id ?? endTokens(config);
  const endIds = new Set([ends].flat());
  const { doSample, greedy, temperature, topK, topP } = wanted;
  const asks = doSample === true || temperature !== undefined || topK !== undefined || topP !== undefined;
  if (greedy && asks) throw new UserError('--greedy: takes the most likely token; leave out the options of sampling');
  if (temperature !== undefined && temperature <= 0)
    throw new UserError(
      `--temperature: found ${temperature}, expected a number above 0; for the most likely token say --greedy`,
    );
  if (topK !== undefined && !(Number.isInteger(topK) && topK >= 0))
    throw new UserError(`--top-k: found ${topK}, expected an integer from 0 (0 = all)`);
  if (topP !== undefined && !(topP > 0 && topP <= 1))
    throw new UserError(`--top-p: found ${topP}, expected a number in (0, 1]`);
  if (greedy || !(asks || file.do_sample)) return { endIds, sampling: undefined };
  const sampling = {
    temperature: temperature ?? (file.temperature || DEFAULTS.temperature),
    topK: topK ?? file.top_k ?? DEFAULTS.topK,
    topP: topP ?? file.top_p ?? DEFAULTS.topP,
  };
  return { endIds, sampling };
}
