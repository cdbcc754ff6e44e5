/** Room: models. A frozen base checkpoint on the device, under its Hugging Face weight names. */
import { BYTES } from '../kernels/kernel.ts';
import type { Engine } from '../engine/engine.ts';
import { option } from '../engine/errors.ts';
import { fingerprintCheckpoint } from '../engine/io/fingerprint.ts';
import { loadWeight, type OnBytes, type Placing } from '../engine/io/load.ts';
import { openSafetensors, type TensorFile } from '../engine/io/safetensors.ts';
import { sameShape, sizeOf, type Shape } from '../engine/graph/shape.ts';
import type { Variable } from '../engine/variable.ts';
import { warn } from '../engine/warnings.ts';
import {
  fullLayers,
  linearLayers,
  type HeadKind,
  type LayerShape,
  type ModelConfig,
  type Role,
  type VocabularyLayer,
} from './architecture.ts';
import { assertPadToken, resizeVocabulary } from './config.ts';
import { openWeights } from './resized-file.ts';
import { frozenHeadShapes, headOf, initialSpec, tiedModules, type TiedModules } from './heads.ts';
import { OffloadedEmbedding } from './offloaded-embedding.ts';
import { loadModelConfig } from './ties.ts';
import { findWeight, storedName, type WeightType } from './weights.ts';

/** Where the word embedding lives: on the device, or on the host, from where each batch takes its rows along. */
export type EmbeddingPlace = 'device' | 'host';

export interface LoadOptions {
  /** How frozen matrices are stored. */
  readonly weights?: WeightType | undefined;
  /** A table over the device's binding limit is on the host in any case; one that scores the vocabulary too is on the device. */
  readonly embeddings?: EmbeddingPlace | undefined;
  /** Its frozen weights are loaded along, e.g. BERT's pooler or a language model's head. */
  readonly head?: HeadKind | undefined;
  /**
   * Values of a frozen weight of the head that the checkpoint lacks, as one of a masked language model lacks the pooler; undefined where
   * there are none, and the load fails. Vocabularies are never made up, but a bias of theirs is zero.
   */
  readonly initMissing?: ((name: string, shape: Shape) => Float32Array | undefined) | undefined;
  /** Tokens of the vocabulary, if not the checkpoint's: its last rows are cut, rows that it lacks are the mean of its own. */
  readonly vocabSize?: number | undefined;
  /** Called after each tensor. */
  readonly onBytes?: OnBytes | undefined;
}

/** A frozen transformer on the device: weights by Hugging Face name, and the sizes of its layers. */
export class BaseModel {
  readonly config: ModelConfig;
  /** Heads and neurons left per layer. */
  readonly layers: readonly LayerShape[];
  /** The word embedding, where it is not among the weights. */
  readonly wordEmbedding: OffloadedEmbedding | undefined;
  /** Weights that the checkpoint lacks. */
  readonly missingKeys: readonly string[];
  readonly #engine: Engine;
  readonly #weights: Map<string, Variable>;

  constructor(
    engine: Engine,
    config: ModelConfig,
    weights: ReadonlyMap<string, Variable>,
    layers: readonly LayerShape[],
    words?: OffloadedEmbedding,
    missingKeys: readonly string[] = [],
  ) {
    this.#engine = engine;
    this.config = config;
    this.#weights = new Map(weights);
    this.layers = layers;
    this.wordEmbedding = words;
    this.missingKeys = missingKeys;
  }

  /** Modules that share a matrix have it under the name of each. */
  get weights(): ReadonlyMap<string, Variable> {
    return this.#weights;
  }

  /** A matrix as views that the device can bind, along its rows. @throws Error where the model has no such weight */
  table(name: string): readonly Variable[] {
    const weight = this.weights.get(name);
    if (!weight) throw new Error(`the model has no weight ${name}`);
    return weight.rowParts(this.#engine.limits.maxStorageBufferBindingSize);
  }

  /** Number of values in all weights, those on the host too. */
  get parameterCount(): number {
    return [...new Set(this.weights.values())].reduce((sum, w) => sum + w.size, this.wordEmbedding?.size ?? 0);
  }

  /** Number of values in the transformer layers alone: the part that is pruned. */
  get blockParameterCount(): number {
    const { block } = this.config.architecture;
    const prefixes = this.layers.map((_, layer) => `${block.prefix(layer)}.`);
    const blocks = [...this.weights.values()].filter((w) => prefixes.some((prefix) => w.name.startsWith(prefix)));
    return blocks.reduce((sum, w) => sum + w.size, 0);
  }

  /** Puts a weight in the place of the one under its name. @param name another name, where modules share it */
  replaceWeight(weight: Variable, name: string = weight.name): void {
    this.#weights.set(name, weight);
  }

  /** Frees all weights. */
  free(): void {
    for (const weight of new Set(this.weights.values())) this.#engine.free(weight);
  }
}

/** Names and shapes of the weights that every checkpoint of this configuration holds; matrices are [out, in]. */
export function baseWeightShapes(config: ModelConfig): Map<string, Shape> {
  const { hiddenSize: d, embeddingSize: e, architecture } = config;
  const { embeddings, block, norm, finalNorm, finalProject } = architecture;
  const shapes = new Map<string, Shape>();
  const addNorm = (name: string): void => {
    shapes.set(`${name}.weight`, [d]);
    if (norm === 'layer') shapes.set(`${name}.bias`, [d]);
  };
  shapes.set(`${embeddings.words}.weight`, [config.vocabSize, e]);
  if (embeddings.project !== undefined) shapes.set(`${embeddings.project}.weight`, [d, e]);
  if (embeddings.positions !== undefined) shapes.set(`${embeddings.positions}.weight`, [config.maxPositions, d]);
  if (embeddings.types !== undefined) shapes.set(`${embeddings.types}.weight`, [config.typeVocabSize, d]);
  if (embeddings.norm !== undefined) addNorm(embeddings.norm);
  for (let layer = 0; layer < config.numLayers; layer++) {
    addNorm(`${block.prefix(layer)}.${block.attentionNorm}`);
    addNorm(`${block.prefix(layer)}.${block.ffnNorm}`);
  }
  for (const { name, inFeatures, outFeatures, bias } of linearLayers(config)) {
    shapes.set(`${name}.weight`, [outFeatures, inFeatures]);
    if (bias) shapes.set(`${name}.bias`, [outFeatures]);
  }
  if (finalNorm !== undefined) addNorm(finalNorm);
  if (finalProject !== undefined) shapes.set(`${finalProject}.weight`, [e, d]);
  return shapes;
}

/** The same with what a head has beside the weights that train with its task; a matrix that two modules share under both names. */
export function frozenWeightShapes(config: ModelConfig, head: HeadKind): Map<string, Shape> {
  const shapes = new Map([...baseWeightShapes(config), ...frozenHeadShapes(config, head)]);
  const tied = tiedModules(config, head);
  if (tied) shapes.set(`${tied.scores}.weight`, shapes.get(`${tied.words}.weight`)!);
  return shapes;
}

/**
 * Loads the model of a Hugging Face folder, one tensor at a time and large ones in pieces: the host holds little beside a word
 * embedding that stays there.
 * @throws UserError naming file and key for a missing weight or a wrong shape; where f16 is asked of a device without it
 */
export async function loadBaseModel(
  engine: Engine,
  dir: string,
  { weights: weightType = 'f32', embeddings = 'device', head, initMissing, vocabSize, onBytes }: LoadOptions = {},
): Promise<BaseModel> {
  const saved = await loadModelConfig(dir);
  const config = resizeVocabulary(saved, vocabSize ?? saved.vocabSize);
  assertPadToken(config, dir);
  if (weightType === 'f16') engine.needF16(`${option('weights')} f16`);
  const file = await openWeights(dir, config);
  const weights = new Map<string, Variable>();
  const places = new Map<string, Variable>();
  try {
    const shapes = new Map([
      ...baseWeightShapes(config),
      ...(head === undefined ? [] : frozenHeadShapes(config, head)),
    ]);
    const made = head === undefined ? new Map<string, Float32Array>() : madeUp(file, config, head, initMissing);
    const wanted = [...shapes]
      .filter(([name]) => !made.has(name))
      .map(([name, shape]) => findWeight(file, config, name, shape, weightType));
    const tied = head === undefined ? undefined : tiedModules(config, head);
    const total = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
    placeProjections(engine, config, wanted, places);
    let words: OffloadedEmbedding | undefined;
    let done = 0;
    for (const weight of wanted) {
      const { key, name, shape, dtype } = weight;
      if (!tied && isOffloaded(engine, config, name, sizeOf(shape) * BYTES[dtype], embeddings)) {
        words = await OffloadedEmbedding.read(file, key, name, shape as [number, number], dtype === 'f16');
      } else weights.set(name, await loadWeight(engine, file, key, weight, places.get(name)));
      done += weight.bytes;
      onBytes?.(done, total);
    }
    for (const [name, data] of made) {
      weights.set(name, engine.variable(name, shapes.get(name)!, { kind: 'weights', data }));
    }
    shareTied(weights, tied);
    const trainable = head === undefined || headOf(config, head).vocabulary ? [] : [...made.keys()];
    return new BaseModel(engine, config, weights, fullLayers(config), words, trainable);
  } catch (error) {
    for (const weight of new Set([...weights.values(), ...places.values()])) engine.free(weight);
    throw error;
  } finally {
    await file.close();
  }
}

/** Values of the head's weights that a checkpoint lacks. */
function madeUp(
  file: TensorFile,
  config: ModelConfig,
  head: HeadKind,
  initMissing: LoadOptions['initMissing'],
): Map<string, Float32Array> {
  const values = new Map<string, Float32Array>();
  const { vocabulary } = headOf(config, head);
  for (const [name, shape] of frozenHeadShapes(config, head)) {
    if (storedName(file, name, config) !== undefined) continue;
    const value = vocabulary ? zeroBias(file, vocabulary, name, shape) : initMissing?.(name, shape);
    if (value) values.set(name, value);
  }
  return values;
}

/** Of what scores the vocabulary the bias alone may be missing: it is then zero, as in transformers. */
function zeroBias(
  { path }: TensorFile,
  { module, otherBias }: VocabularyLayer,
  name: string,
  shape: Shape,
): Float32Array | undefined {
  if (name !== `${module}.bias`) return undefined;
  const unused = otherBias === undefined ? '' : ` (an untied model does not read ${otherBias})`;
  warn(`${path}: ${name} is missing${unused}: taken as zeros, as in transformers`);
  return new Float32Array(sizeOf(shape));
}

/** Enters the matrix that two modules share under the second name. */
function shareTied(weights: Map<string, Variable>, tied: TiedModules | undefined): void {
  if (tied) weights.set(`${tied.scores}.weight`, weights.get(`${tied.words}.weight`)!);
}

/** What a checkpoint is, without loading it. */
export interface Checkpoint {
  readonly config: ModelConfig;
  readonly fingerprint: string;
}

/**
 * Configuration and fingerprint of a folder whose weights are those its configuration asks for, so that sizes can be trusted.
 * @throws UserError as `loadBaseModel`
 */
export async function inspectCheckpoint(dir: string): Promise<Checkpoint> {
  const config = await loadModelConfig(dir);
  const file = await openSafetensors(dir);
  try {
    for (const [name, shape] of baseWeightShapes(config)) findWeight(file, config, name, shape, 'f32');
  } finally {
    await file.close();
  }
  return { config, fingerprint: await fingerprintCheckpoint(dir) };
}

/** A base of fresh random weights: what a checkpoint is to be compared with. @param normal draws standard normal numbers */
export function randomBaseModel(
  engine: Engine,
  config: ModelConfig,
  normal: () => number,
  { embeddings = 'device', head = 'classification' }: Pick<LoadOptions, 'embeddings' | 'head'> = {},
): BaseModel {
  const weights = new Map<string, Variable>();
  const tied = tiedModules(config, head);
  let words: OffloadedEmbedding | undefined;
  for (const [name, shape] of [...baseWeightShapes(config), ...frozenHeadShapes(config, head)]) {
    const { data } = initialSpec(name, shape, config.initializerRange, normal);
    if (!tied && isOffloaded(engine, config, name, data.byteLength, embeddings))
      words = offloadedEmbedding(name, shape, data);
    else weights.set(name, engine.variable(name, shape, { kind: 'weights', data }));
  }
  gatherProjections(engine, config, weights);
  shareTied(weights, tied);
  return new BaseModel(engine, config, weights, fullLayers(config), words);
}

/** Linear layers that read the same input. */
const SIDE_BY_SIDE: readonly (readonly Role[])[] = [
  ['query', 'key', 'value'],
  ['gate', 'up'],
];

/** Names of weights of one shape that multiply the same input. */
function projectionGroups(config: ModelConfig, shapeOf: (name: string) => Shape | undefined): string[][] {
  const { prefix, linears } = config.architecture.block;
  const layers = Array.from({ length: config.numLayers }, (_, layer) => prefix(layer));
  const groups = layers.flatMap((layer) =>
    SIDE_BY_SIDE.flatMap((roles) =>
      ['weight', 'bias'].map((kind) => {
        const names = roles.flatMap((role) => (linears[role] ? [`${layer}.${linears[role].name}.${kind}`] : []));
        const last = names.map(shapeOf).at(-1);
        return names.filter((name) => last && sizeOf(last) > 0 && sameShape(shapeOf(name) ?? [], last));
      }),
    ),
  );
  return groups.filter(({ length }) => length > 1);
}

/** Makes room for projections side by side, so that one kernel runs all of a group. */
function placeProjections(
  engine: Engine,
  config: ModelConfig,
  wanted: readonly Placing[],
  places: Map<string, Variable>,
): void {
  const found = new Map(wanted.map((weight) => [weight.name, weight]));
  for (const names of projectionGroups(config, (name) => found.get(name)?.shape)) {
    const { shape, dtype } = found.get(names[0]!)!;
    for (const place of engine.allocateContiguous(names, shape, { kind: 'weights', dtype }))
      places.set(place.name, place);
  }
}

/** The same for weights that are on the device already: moves them. */
export function gatherProjections(engine: Engine, config: ModelConfig, weights: Map<string, Variable>): void {
  for (const names of projectionGroups(config, (name) => weights.get(name)?.shape)) {
    const group = names.map((name) => weights.get(name)!);
    for (const moved of engine.makeContiguous(group)) weights.set(moved.name, moved);
  }
}

function isOffloaded(
  { limits }: Engine,
  { architecture: { embeddings } }: ModelConfig,
  name: string,
  bytes: number,
  place: EmbeddingPlace,
): boolean {
  const isWords = name === `${embeddings.words}.weight`;
  return isWords && (place === 'host' || bytes > limits.maxStorageBufferBindingSize);
}

function offloadedEmbedding(name: string, shape: Shape, data: Float32Array | Uint16Array): OffloadedEmbedding {
  return new OffloadedEmbedding(name, shape as [number, number], data);
}
