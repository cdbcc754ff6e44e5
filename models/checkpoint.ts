/** Room: models. A checkpoint on disk, opened: its configuration and the fingerprint of its weights. */
import { fingerprintCheckpoint } from '../engine/io/fingerprint.ts';
import { loadConfig } from './config.ts';
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
}

/**
 * Opens a model folder. Weights go to the device later, piece by piece.
 * @throws UserError where `config.json` is missing, or of a model that is not supported
 */
export async function loadModel(dir: string): Promise<Checkpoint> {
  return new Checkpoint(dir, await loadConfig(dir));
}
