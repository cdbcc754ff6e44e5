/**
 * Room: peft-model. Several adapters on one base: each keeps its factors, head and compiled programs on the device, the base is there
 * once, and switching is choosing. One of them can be merged into the base's weights and taken out again bit for bit.
 */
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../engine/errors.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import type { Batch } from '../data/data-loader.ts';
import { logitsSession, type InferenceSession } from './inference-session.ts';
import { PeftModel } from './peft-model.ts';
import { checkpointFor, type PretrainedOptions } from './pretrained.ts';

interface Mounted {
  readonly model: PeftModel;
  readonly session: InferenceSession;
}

/** A base with named adapters, one of them active. */
export class MultiAdapterModel implements Disposable {
  readonly #mounted: ReadonlyMap<string, Mounted>;
  #active: string;
  /** Of the plain model, while the active adapter is merged. */
  #merged: InferenceSession | undefined;

  private constructor(models: ReadonlyMap<string, PeftModel>) {
    this.#mounted = new Map([...models].map(([name, model]) => [name, { model, session: logitsSession(model) }]));
    this.#active = [...models.keys()][0]!;
  }

  /**
   * Loads the base once and every adapter onto it. The first one is active.
   * @param folders adapter folders by name, at least one
   * @throws UserError where one does not fit the base, or is pruned otherwise than the first
   */
  static async fromPretrained(
    engine: Engine,
    checkpoint: Checkpoint,
    folders: ReadonlyMap<string, string>,
    options: PretrainedOptions = {},
  ): Promise<MultiAdapterModel> {
    return new MultiAdapterModel(await loadOntoOneBase(engine, checkpoint, folders, options));
  }

  /** Names of the adapters, in the order given. */
  get names(): readonly string[] {
    return [...this.#mounted.keys()];
  }

  /** The one that `run` uses. */
  get active(): string {
    return this.#active;
  }

  /** Switches; nothing is loaded or compiled again. @throws UserError for a name that is not there, or while one is merged */
  setAdapter(name: string): void {
    if (!this.#mounted.has(name)) {
      throw new UserError(`adapter "${name}": not loaded, expected one of ${this.names.join(', ')}`);
    }
    if (this.#merged && name !== this.#active)
      throw new UserError(`adapter "${this.#active}" is merged: unmerge it first`);
    this.#active = name;
  }

  /** The head's scores of a batch with the active adapter. */
  async run(batch: Batch): Promise<Float32Array> {
    const session = this.#merged ?? this.#current.session;
    await session.prepare(batch);
    return session.run(batch);
  }

  /** Merges the active adapter into the base's weights on the device. @throws UserError for adapters that are not linear */
  async merge(): Promise<void> {
    if (this.#merged) return;
    const { model } = this.#current;
    await model.merge();
    this.#merged = logitsSession(model);
  }

  /** Gives the base back the bits it had before `merge`. */
  unmerge(): void {
    this.#current.model.unmerge();
    this.#merged?.dispose();
    this.#merged = undefined;
  }

  /** Frees base and adapters. */
  dispose(): void {
    this.unmerge();
    for (const { session } of this.#mounted.values()) session.dispose();
    // The first model owns the base.
    for (const { model } of [...this.#mounted.values()].reverse()) model.dispose();
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  get #current(): Mounted {
    return this.#mounted.get(this.#active)!;
  }
}

/**
 * Several adapters on the base that the first one brings, and owns.
 * @param folders adapter folders by name
 */
export async function loadOntoOneBase(
  engine: Engine,
  checkpoint: Checkpoint,
  folders: ReadonlyMap<string, string>,
  options: PretrainedOptions = {},
): Promise<ReadonlyMap<string, PeftModel>> {
  const whole = folders.size > 1 ? await checkpointFor(checkpoint, folders.values()) : checkpoint;
  const models = new Map<string, PeftModel>();
  for (const [name, folder] of folders) {
    const [sharing] = models.values();
    models.set(name, await PeftModel.fromPretrained(engine, whole, folder, { ...options, sharing }));
  }
  return models;
}
