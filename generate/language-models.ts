/**
 * Room: generate. A base checkpoint with any number of adapters, one used after the other without loading the base again. Adapters
 * whose plans leave different parts of it have a base for each plan.
 */
import type { Engine } from '../engine/engine.ts';
import { fingerprintCheckpoint } from '../engine/io/fingerprint.ts';
import type { OnBytes } from '../engine/io/load.ts';
import type { BaseModel } from '../models/base-model.ts';
import { loadConfig } from '../models/config.ts';
import { KvCache } from '../models/kv-cache.ts';
import { cutAlike, loadState, readPlanFor, type LoadedState } from '../peft-model/pretrained.ts';
import { toPeftModel } from '../peft-model/assembly.ts';
import type { Settings } from '../train/settings.ts';
import { Generator } from './generator.ts';

export interface LanguageModelOptions {
  readonly modelDir: string;
  /** Folders by name. */
  readonly adapters: ReadonlyMap<string, string>;
  readonly settings: Pick<Settings, 'weights' | 'embeddings'>;
  /** Tokens of the longest text, prompt and all. */
  readonly capacity: number;
  /** Called while weights are loaded. */
  readonly onBytes?: OnBytes | undefined;
}

export class LanguageModels {
  readonly #engine: Engine;
  readonly #options: LanguageModelOptions;
  /** By adapter; `undefined`: the base alone. */
  readonly #generators = new Map<string | undefined, Generator>();
  readonly #loaded: LoadedState[] = [];
  readonly #memories = new Map<BaseModel, KvCache>();

  constructor(engine: Engine, options: LanguageModelOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  /** The model with that adapter, or without any; loaded when first asked for. @throws UserError as `loadState` */
  async get(name: string | undefined): Promise<Generator> {
    const known = this.#generators.get(name);
    if (known) return known;
    const artefact = await this.#load(name === undefined ? undefined : this.#options.adapters.get(name));
    const { base } = artefact;
    const memory = this.#memories.get(base) ?? new KvCache(this.#engine, base, this.#options.capacity);
    this.#memories.set(base, memory);
    const generator = new Generator(toPeftModel(this.#engine, artefact), memory);
    this.#generators.set(name, generator);
    return generator;
  }

  /** Onto a base that is there, where one is left as the adapter's plan leaves it. */
  async #load(dir: string | undefined): Promise<LoadedState> {
    const { modelDir, settings, onBytes } = this.#options;
    const plan =
      dir === undefined
        ? undefined
        : await readPlanFor(dir, await fingerprintCheckpoint(modelDir), await loadConfig(modelDir));
    const shared = this.#loaded.find((one) => cutAlike(one.plan, plan));
    const artefact = await loadState(this.#engine, modelDir, dir, settings, { kind: 'causal-lm', shared, onBytes });
    this.#loaded.push(artefact);
    return artefact;
  }

  free(): void {
    for (const generator of this.#generators.values()) generator.free();
    for (const [base, memory] of this.#memories) {
      memory.free();
      base.free();
    }
  }
}
