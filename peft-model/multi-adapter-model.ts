/**
 * Room: peft-model. Several adapters on one base: each keeps its factors, head and compiled programs on the device, the base is there once, and
 * switching is choosing. One of them can be merged into the base's weights and taken out again bit for bit: the bits that
 * merging overwrites are kept on the host meanwhile.
 */
import type { Engine, HostArray } from '../engine/engine.ts';
import { UserError } from '../engine/errors.ts';
import { f32ToF16 } from '../engine/io/float16.ts';
import type { OnBytes } from '../engine/io/load.ts';
import { unpadded } from '../engine/padding.ts';
import type { Variable } from '../engine/variable.ts';
import { loadState, type LoadedState } from './pretrained.ts';
import { toPeftModel } from './assembly.ts';
import { PeftModel } from './peft-model.ts';
import { assertMergeable } from './convert.ts';
import type { Batch } from '../data/data-loader.ts';
import { InferenceSession } from '../train/evaluate.ts';
import type { Settings } from '../train/settings.ts';

interface Mounted {
  readonly artefact: LoadedState;
  readonly classifier: PeftModel;
  readonly forward: InferenceSession;
}

/** A base with named adapters, one of them active. */
export class MultiAdapterModel {
  readonly #engine: Engine;
  readonly #mounted: ReadonlyMap<string, Mounted>;
  #active: string;
  #merged: { readonly originals: ReadonlyMap<Variable, HostArray>; readonly forward: InferenceSession } | undefined;

  private constructor(engine: Engine, mounted: ReadonlyMap<string, Mounted>, active: string) {
    this.#engine = engine;
    this.#mounted = mounted;
    this.#active = active;
  }

  /**
   * Loads the base once and every adapter onto it. The first one is active.
   * @param folders adapter folders by name, at least one
   * @throws UserError where one does not fit the base, or is pruned otherwise than the first
   */
  static async open(
    engine: Engine,
    modelDir: string,
    folders: ReadonlyMap<string, string>,
    settings: Pick<Settings, 'weights' | 'embeddings'>,
  ): Promise<MultiAdapterModel> {
    const artefacts = await loadOntoOneBase(engine, modelDir, folders, settings);
    const mounted = new Map<string, Mounted>();
    for (const [name, artefact] of artefacts) {
      const classifier = toPeftModel(engine, artefact);
      mounted.set(name, { artefact, classifier, forward: new InferenceSession(classifier) });
    }
    return new MultiAdapterModel(engine, mounted, [...mounted.keys()][0] as string);
  }

  get names(): readonly string[] {
    return [...this.#mounted.keys()];
  }

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
    const forward = this.#merged?.forward ?? this.#current.forward;
    await forward.prepare(batch);
    return forward.run(batch);
  }

  /** Merges the active adapter into the base's weights on the device. @throws UserError for adapters that are not linear */
  async merge(): Promise<void> {
    if (this.#merged) return;
    const { artefact, classifier } = this.#current;
    const { base, method, values } = artefact;
    const at = `adapter "${this.#active}"`;
    if (method && !method.merge) throw new UserError(`${at}: bottleneck adapters cannot be merged`);
    assertMergeable(base.config, artefact, at);
    const onHost = method?.modules.find(({ name }) => `${name}.weight` === base.wordEmbedding?.name);
    if (onHost)
      throw new UserError(`${at}: ${onHost.name} stays on the host, where nothing is merged; use --embeddings device`);
    const originals = new Map<Variable, HostArray>();
    for (const module of method?.modules ?? []) {
      const rewrite = async (kind: 'weight' | 'bias', merge: (values: Float32Array) => Float32Array): Promise<void> => {
        const variable = base.weights.get(`${module.name}.${kind}`);
        if (!variable) return;
        originals.set(variable, await this.#bits(variable));
        const merged = merge(await this.#engine.read(variable));
        this.#engine.write(variable, variable.dtype === 'f16' ? f32ToF16(merged) : merged);
      };
      await rewrite('weight', (weight) => method?.merge?.(module, values, weight, 'merge') ?? weight);
      if (method?.mergeBias) {
        const { mergeBias } = { mergeBias: method.mergeBias.bind(method) };
        await rewrite('bias', (bias) => mergeBias(module, values, bias, 'merge'));
      }
    }
    const plain = new PeftModel(this.#engine, base, undefined, classifier.parameters, classifier.objective);
    this.#merged = { originals, forward: new InferenceSession(plain) };
  }

  /** Gives the base back the bits it had before `merge`. */
  unmerge(): void {
    for (const [variable, bits] of this.#merged?.originals ?? []) this.#engine.write(variable, bits);
    this.#merged?.forward.dispose();
    this.#merged = undefined;
  }

  free(): void {
    this.unmerge();
    for (const { forward, classifier } of this.#mounted.values()) {
      forward.dispose();
      classifier.parameters.free();
    }
    this.#current.artefact.base.free();
  }

  get #current(): Mounted {
    return this.#mounted.get(this.#active) as Mounted;
  }

  async #bits({ storage, dtype, shape, stored }: Variable): Promise<HostArray> {
    const bytes = await this.#engine.readBytes(storage);
    return unpadded(dtype === 'f16' ? new Uint16Array(bytes) : new Float32Array(bytes), shape, stored);
  }
}

/**
 * Several adapters on the base that the first one brings.
 * @param folders adapter folders by name
 */
export async function loadOntoOneBase(
  engine: Engine,
  modelDir: string,
  folders: ReadonlyMap<string, string>,
  settings: Pick<Settings, 'weights' | 'embeddings'>,
  onBytes: OnBytes = () => undefined,
): Promise<ReadonlyMap<string, LoadedState>> {
  const artefacts = new Map<string, LoadedState>();
  for (const [name, folder] of folders) {
    const [shared] = artefacts.values();
    artefacts.set(name, await loadState(engine, modelDir, folder, settings, { onBytes, shared }));
  }
  return artefacts;
}
