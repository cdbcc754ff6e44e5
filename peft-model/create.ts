/** Room: peft-model. A fresh model: base, new PEFT modules and head. The one place where it is put together. */
import type { Engine } from '../engine/engine.ts';
import { hostRandom, STREAM } from '../engine/random.ts';
import type { HeadKind, ModelConfig } from '../models/architecture.ts';
import { loadBaseModel, type BaseModel, type LoadOptions } from '../models/base-model.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { savedHead } from '../models/config.ts';
import { hubName } from '../models/hub/repo.ts';
import type { PeftConfig } from '../peft/config.ts';
import type { PeftConfigFor } from '../peft/create-config.ts';
import { readOwnHead } from './own-head.ts';
import { PeftModel } from './peft-model.ts';
import { createState, initMissingWeights } from './state.ts';
import { commonKind, type NamedHead } from './task-heads.ts';

/** Head, seed, and how the base is loaded. */
export interface PeftModelOptions extends Pick<LoadOptions, 'weights' | 'embeddings' | 'onBytes'> {
  /** Unless set: the one the checkpoint was saved with, but classification for bare and masked language models. */
  readonly head?: HeadKind | undefined;
  /** Class names by index; one for a number to predict. Unless set: the checkpoint's, else two, as in transformers. */
  readonly labels?: readonly string[] | undefined;
  /** Heads of several tasks, in place of `head` and `labels`: see `PeftModel.forTask`. */
  readonly heads?: readonly NamedHead[] | undefined;
  /** Of the weights that are drawn. */
  readonly seed?: number | undefined;
  /** Draws the head anew where the checkpoint has one for the same classes, which is kept otherwise. */
  readonly newHead?: boolean | undefined;
}

/**
 * Puts fresh PEFT modules and a task head on a base, as PEFT's function of this name.
 * @param base a checkpoint, whose weights are loaded; or a base that is on the device, which the model then owns
 * @param peft of `loraConfig` and the like, or a configuration with its targets
 * @throws UserError where weights are missing or a configuration does not fit the model
 */
export async function getPeftModel(
  engine: Engine,
  base: Checkpoint | BaseModel,
  peft: PeftConfig | PeftConfigFor,
  options: PeftModelOptions = {},
): Promise<PeftModel> {
  const { config } = base;
  const { seed = 0, heads, newHead = false, ...load } = options;
  const [first] = heads ?? [];
  const head = first?.head ?? options.head ?? defaultHead(config);
  const kind = heads && heads.length > 0 ? commonKind(heads) : head;
  const isLoaded = 'weights' in base;
  const initMissing = initMissingWeights(config, seed);
  const loaded = isLoaded
    ? base
    : await loadBaseModel(engine, base.dir, { ...load, head: kind, initMissing, vocabSize: config.vocabSize });
  try {
    const labels = first?.labels ?? options.labels ?? (head === 'classification' ? defaultLabels(config.labels) : []);
    const asked = typeof peft === 'function' ? peft(config, head) : peft;
    const given = { ...asked, baseModel: asked.baseModel ?? (isLoaded ? null : (hubName(base.dir) ?? null)) };
    const task = { head, labels, heads };
    const ownHead = isLoaded || newHead ? undefined : await readOwnHead(base, task);
    const state = await createState(engine, loaded, given, task, seed, ownHead);
    return new PeftModel(engine, { base: loaded, checkpoint: isLoaded ? undefined : base }, state);
  } catch (error) {
    loaded.free();
    throw error;
  }
}

function defaultHead(config: ModelConfig): HeadKind {
  const saved = savedHead(config);
  return saved === undefined || saved === 'masked-lm' ? 'classification' : saved;
}

function defaultLabels(labels: readonly string[]): readonly string[] {
  return labels.length > 0 ? labels : ['0', '1'];
}

/** Standard normal numbers for a base of random weights. */
export function baseNormals(seed: number): () => number {
  const random = hostRandom(seed, STREAM.weights, 3);
  return () => random.normal();
}
