/**
 * Room: train. A base checkpoint with any number of adapters, one used after the other without loading the base again. An adapter
 * with a plan has a pruned base of its own.
 */
import type { Engine } from '../../engine/engine.ts';
import type { OnBytes } from '../../engine/io/load.ts';
import type { BaseModel } from '../../models/base-model.ts';
import { KeyValues } from '../../models/key-values.ts';
import { loadArtefact } from '../artefact.ts';
import { toClassifier } from '../assembly.ts';
import type { Settings } from '../settings.ts';
import { Generator } from './generator.ts';

/** A PEFT folder under the name that prompts give it. */
export interface NamedAdapter {
  readonly name: string;
  readonly dir: string;
}

export interface LanguageModelOptions {
  readonly modelDir: string;
  readonly adapters: readonly NamedAdapter[];
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
  readonly #memories = new Map<BaseModel, KeyValues>();
  #shared: BaseModel | undefined;

  constructor(engine: Engine, options: LanguageModelOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  /** The model with that adapter, or without any; loaded when first asked for. @throws UserError as `loadArtefact` */
  async get(name: string | undefined): Promise<Generator> {
    const known = this.#generators.get(name);
    if (known) return known;
    const { adapters, modelDir, settings, capacity, onBytes } = this.#options;
    const adapter = adapters.find((one) => one.name === name);
    if (name !== undefined && !adapter) throw new Error(`no adapter ${name}`);
    const artefact = await loadArtefact(this.#engine, modelDir, adapter?.dir, settings, {
      head: 'causal-lm',
      shared: this.#shared,
      onBytes,
    });
    const { base } = artefact;
    if (!artefact.plan) this.#shared = base;
    const memory = this.#memories.get(base) ?? new KeyValues(this.#engine, base, capacity);
    this.#memories.set(base, memory);
    const generator = new Generator(toClassifier(this.#engine, artefact), memory);
    this.#generators.set(name, generator);
    return generator;
  }

  /** Bytes of all keys and values. */
  get cacheBytes(): number {
    return [...this.#memories.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  free(): void {
    for (const generator of this.#generators.values()) generator.free();
    for (const [base, memory] of this.#memories) {
      memory.free();
      base.free();
    }
  }
}
