/**
 * Room: generate. A base checkpoint with any number of adapters, one used after the other without loading the base again. Adapters
 * whose plans leave different parts of it have a base for each plan.
 */
import type { Engine } from '../engine/engine.ts';
import type { BaseModel } from '../models/base-model.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { KvCache } from '../models/kv-cache.ts';
import { PeftModel } from '../peft-model/peft-model.ts';
import { cutAlike, readPlanFor, type PretrainedOptions } from '../peft-model/pretrained.ts';
import { Generator } from './generator.ts';

export interface LanguageModelOptions {
  readonly checkpoint: Checkpoint;
  /** Folders by name. */
  readonly adapters: ReadonlyMap<string, string>;
  readonly load: Omit<PretrainedOptions, 'head'>;
  /** Tokens of the longest text, prompt and all. */
  readonly capacity: number;
}

export class LanguageModels implements Disposable {
  readonly #engine: Engine;
  readonly #options: LanguageModelOptions;
  /** By adapter; `undefined`: the base alone. */
  readonly #generators = new Map<string | undefined, Generator>();
  readonly #models: PeftModel[] = [];
  readonly #caches = new Map<BaseModel, KvCache>();

  constructor(engine: Engine, options: LanguageModelOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  /** The model with that adapter, or without any; loaded when first asked for. @throws UserError as `PeftModel.fromPretrained` */
  async get(name: string | undefined): Promise<Generator> {
    const known = this.#generators.get(name);
    if (known) return known;
    const model = await this.#load(name === undefined ? undefined : this.#options.adapters.get(name));
    const cache = this.#caches.get(model.base) ?? new KvCache(this.#engine, model.base, this.#options.capacity);
    this.#caches.set(model.base, cache);
    const generator = new Generator(model, cache);
    this.#generators.set(name, generator);
    return generator;
  }

  /** Onto a base that is there, where one is left as the adapter's plan leaves it. */
  async #load(dir: string | undefined): Promise<PeftModel> {
    const { checkpoint, load } = this.#options;
    const plan = dir === undefined ? undefined : await readPlanFor(dir, checkpoint);
    const sharing = this.#models.find((one) => cutAlike(one.plan, plan));
    const options = { ...load, head: 'causal-lm', sharing } as const;
    const model = await PeftModel.fromPretrained(this.#engine, checkpoint, dir, options);
    this.#models.push(model);
    return model;
  }

  dispose(): void {
    for (const generator of this.#generators.values()) generator.dispose();
    for (const cache of this.#caches.values()) cache.free();
    for (const model of this.#models.reverse()) model.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
