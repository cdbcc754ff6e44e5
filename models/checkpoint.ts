/** Room: models. A checkpoint on disk, opened: its configuration and the fingerprint of its weights. */
import { fingerprintCheckpoint } from '../engine/io/fingerprint.ts';
import { option } from '../engine/errors.ts';
import { warn } from '../engine/warnings.ts';
import { resizeVocabulary } from './config.ts';
import { loadModelConfig } from './ties.ts';
import { loadTokenizer } from './tokenizer.ts';
import type { ModelConfig } from './architecture.ts';

/** A Hugging Face model folder with `config.json` and `model.safetensors` or its shards. */
export class Checkpoint {
  readonly dir: string;
  readonly config: ModelConfig;
  #fingerprint: Promise<string> | undefined;

  /** @param fingerprint where it is known already */
  constructor(dir: string, config: ModelConfig, fingerprint?: string) {
    this.dir = dir;
    this.config = config;
    if (fingerprint !== undefined) this.#fingerprint = Promise.resolve(fingerprint);
  }

  /** `sha256:…` of the weights: plans and estimations are of one base. Reads the files when first asked. */
  fingerprint(): Promise<string> {
    return (this.#fingerprint ??= fingerprintCheckpoint(this.dir));
  }

  /** The same weights with a vocabulary of so many tokens: the last rows are cut, new ones are the mean of the old. The fingerprint stays. */
  resized(vocabSize: number): Checkpoint {
    const config = resizeVocabulary(this.config, vocabSize);
    if (config === this.config) return this;
    const resized = new Checkpoint(this.dir, config);
    resized.#fingerprint = this.#fingerprint;
    return resized;
  }
}

/**
 * Opens a model folder. Weights go to the device later, piece by piece.
 * @param resizeEmbeddings grows the vocabulary where the folder's tokenizer has more tokens; `getPeftModel` then trains all rows
 * @throws UserError where `config.json` is missing, or of a model that is not supported
 */
export async function loadModel(
  dir: string,
  { resizeEmbeddings = false }: { readonly resizeEmbeddings?: boolean | undefined } = {},
): Promise<Checkpoint> {
  const checkpoint = new Checkpoint(dir, await loadModelConfig(dir));
  if (!resizeEmbeddings) return checkpoint;
  const tokens = (await loadTokenizer(dir)).vocabSize;
  const resized = checkpoint.resized(Math.max(checkpoint.config.vocabSize, tokens));
  if (resized === checkpoint)
    warn(`${option('resizeEmbeddings')}: the tokenizer of ${dir} has no tokens beyond the model's vocabulary`);
  return resized;
}
