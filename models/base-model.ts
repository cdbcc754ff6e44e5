/** Room: models. A frozen base checkpoint on the device, under its Hugging Face weight names. */
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../engine/errors.ts';
import { openSafetensors, type TensorFile } from '../engine/io/safetensors.ts';
import type { Shape } from '../engine/graph/shape.ts';
import type { Variable } from '../engine/variable.ts';
import { loadConfig, type EncoderConfig } from './config.ts';
import { LAYER_LINEARS, layerPrefix, type LayerShape } from './encoder.ts';
import { initialSpec, poolerShapes } from './heads.ts';
import { HostTable } from './host-table.ts';

/** Storage of frozen matrices; biases and normalisation weights are always f32. */
export type WeightType = 'f32' | 'f16';

/** Where the word embedding lives: on the device, or on the host, from where each batch takes its rows along. */
export type EmbeddingPlace = 'device' | 'host';

export interface LoadOptions {
  readonly weightType?: WeightType;
  /** A table over the device's binding limit stays on the host in any case. */
  readonly embeddings?: EmbeddingPlace;
  /** Further weights the task needs of the checkpoint, e.g. BERT's pooler. */
  readonly extra?: ReadonlyMap<string, Shape>;
}

export class BaseModel {
  readonly config: EncoderConfig;
  /** Heads and neurons left per layer. */
  readonly layers: readonly LayerShape[];
  readonly weights: ReadonlyMap<string, Variable>;
  /** The word embedding, where it is not among the weights. */
  readonly words: HostTable | undefined;
  readonly #engine: Engine;

  constructor(
    engine: Engine,
    config: EncoderConfig,
    weights: ReadonlyMap<string, Variable>,
    layers: readonly LayerShape[],
    words?: HostTable,
  ) {
    this.#engine = engine;
    this.config = config;
    this.weights = weights;
    this.layers = layers;
    this.words = words;
  }

  /** Number of values in all weights, those on the host too. */
  get parameterCount(): number {
    return [...this.weights.values()].reduce((sum, w) => sum + w.size, this.words?.size ?? 0);
  }

  /** Number of values in the transformer layers alone: the part that is pruned. */
  get blockParameterCount(): number {
    const blocks = [...this.weights.values()].filter((w) => w.name.includes('.encoder.layer.'));
    return blocks.reduce((sum, w) => sum + w.size, 0);
  }

  free(): void {
    for (const weight of this.weights.values()) this.#engine.free(weight);
  }
}

/** The layers of an unpruned model. */
export function fullLayers(config: EncoderConfig): LayerShape[] {
  return Array.from({ length: config.numLayers }, () => ({ heads: config.numHeads, neurons: config.intermediateSize }));
}

/** A linear layer of the encoder: weight [outFeatures, inFeatures]. */
export interface LinearLayer {
  /** Hugging Face module name. */
  readonly name: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/** The linear layers of an encoder, in the order of the forward pass. @param layers sizes left by pruning */
export function linearLayers(config: EncoderConfig, layers: readonly LayerShape[] = fullLayers(config)): LinearLayer[] {
  const d = config.hiddenSize;
  return layers.flatMap(({ heads, neurons }, layer) => {
    const features = heads * (d / config.numHeads);
    const sizes: Record<(typeof LAYER_LINEARS)[number], readonly [number, number]> = {
      'attention.self.query': [d, features],
      'attention.self.key': [d, features],
      'attention.self.value': [d, features],
      'attention.output.dense': [features, d],
      'intermediate.dense': [d, neurons],
      'output.dense': [neurons, d],
    };
    return LAYER_LINEARS.map((linear) => {
      const [inFeatures, outFeatures] = sizes[linear];
      return { name: `${layerPrefix(config, layer)}.${linear}`, inFeatures, outFeatures };
    });
  });
}

/** Names and shapes of the weights that every encoder checkpoint of this configuration holds. */
export function encoderWeightShapes(config: EncoderConfig): Map<string, Shape> {
  const { family, hiddenSize: d } = config;
  const shapes = new Map<string, Shape>();
  const addNorm = (name: string): void => {
    shapes.set(`${name}.weight`, [d]);
    shapes.set(`${name}.bias`, [d]);
  };
  const embeddings = `${family}.embeddings`;
  shapes.set(`${embeddings}.word_embeddings.weight`, [config.vocabSize, d]);
  shapes.set(`${embeddings}.position_embeddings.weight`, [config.maxPositions, d]);
  shapes.set(`${embeddings}.token_type_embeddings.weight`, [config.typeVocabSize, d]);
  addNorm(`${embeddings}.LayerNorm`);
  for (let layer = 0; layer < config.numLayers; layer++) {
    const prefix = layerPrefix(config, layer);
    addNorm(`${prefix}.attention.output.LayerNorm`);
    addNorm(`${prefix}.output.LayerNorm`);
  }
  for (const { name, inFeatures, outFeatures } of linearLayers(config)) {
    shapes.set(`${name}.weight`, [outFeatures, inFeatures]);
    shapes.set(`${name}.bias`, [outFeatures]);
  }
  return shapes;
}

/**
 * Loads the encoder of a Hugging Face folder, one tensor at a time.
 * @throws UserError naming file and key for a missing weight or a wrong shape; where f16 is asked of a device without it
 */
export async function loadBaseModel(
  engine: Engine,
  dir: string,
  { weightType = 'f32', embeddings = 'device', extra = new Map() }: LoadOptions = {},
): Promise<BaseModel> {
  const config = await loadConfig(dir);
  if (weightType === 'f16') engine.needF16('--weights f16');
  const file = await openSafetensors(dir);
  try {
    const weights = new Map<string, Variable>();
    let words: HostTable | undefined;
    for (const [name, shape] of [...encoderWeightShapes(config), ...extra]) {
      const key = storedName(file, name, config) ?? name;
      const { dtype, data } = await readWeight(file, key, shape, weightType);
      if (isHostTable(engine, config, name, data.byteLength, embeddings)) words = hostTable(name, shape, data);
      else weights.set(name, engine.variable(name, shape, { kind: 'weights', dtype, data }));
    }
    gatherProjections(engine, config, weights);
    return new BaseModel(engine, config, weights, fullLayers(config), words);
  } finally {
    await file.close();
  }
}

/** A base of fresh random weights: what a checkpoint is to be compared with. @param normal draws standard normal numbers */
export function randomBaseModel(
  engine: Engine,
  config: EncoderConfig,
  normal: () => number,
  embeddings: EmbeddingPlace = 'device',
): BaseModel {
  const weights = new Map<string, Variable>();
  let words: HostTable | undefined;
  for (const [name, shape] of [...encoderWeightShapes(config), ...poolerShapes(config)]) {
    const { data } = initialSpec(name, shape, config.initializerRange, normal);
    if (isHostTable(engine, config, name, data.byteLength, embeddings)) words = hostTable(name, shape, data);
    else weights.set(name, engine.variable(name, shape, { kind: 'weights', data }));
  }
  gatherProjections(engine, config, weights);
  return new BaseModel(engine, config, weights, fullLayers(config), words);
}

/** Puts the query, key and value projections of each layer side by side, so that one kernel runs all three. */
export function gatherProjections(engine: Engine, config: EncoderConfig, weights: Map<string, Variable>): void {
  for (let layer = 0; layer < config.numLayers; layer++) {
    for (const kind of ['weight', 'bias']) {
      const names = LAYER_LINEARS.slice(0, 3).map((linear) => `${layerPrefix(config, layer)}.${linear}.${kind}`);
      const found = names.flatMap((name) => weights.get(name) ?? []);
      if (found.length < names.length || found.some(({ size }) => size === 0)) continue;
      for (const moved of engine.together(found)) weights.set(moved.name, moved);
    }
  }
}

function isHostTable(
  { device }: Engine,
  { family }: EncoderConfig,
  name: string,
  bytes: number,
  place: EmbeddingPlace,
): boolean {
  const isWords = name === `${family}.embeddings.word_embeddings.weight`;
  return isWords && (place === 'host' || bytes > device.limits.maxStorageBufferBindingSize);
}

function hostTable(name: string, shape: Shape, data: Float32Array | Uint16Array): HostTable {
  return new HostTable(name, shape as [number, number], data);
}

/** The name under which a checkpoint stores a weight: bare encoders leave the family's prefix out. */
export function storedName(file: TensorFile, name: string, { family }: EncoderConfig): string | undefined {
  const bare = name.startsWith(`${family}.`) ? name.slice(family.length + 1) : name;
  const old = (n: string): string =>
    n.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta');
  return [name, bare, old(name), old(bare)].find((candidate) => file.names.includes(candidate));
}

async function readWeight(
  file: TensorFile,
  key: string,
  shape: Shape,
  weightType: WeightType,
): Promise<{ dtype: WeightType; data: Float32Array | Uint16Array }> {
  const info = file.info(key);
  if (info.shape.length !== shape.length || info.shape.some((n, i) => n !== shape[i])) {
    throw new UserError(
      `${file.path}: ${key} has shape [${info.shape.join(', ')}], config.json asks for [${shape.join(', ')}]`,
    );
  }
  const half = weightType === 'f16' && shape.length === 2;
  return half
    ? { dtype: 'f16', data: await file.readFloat16(key) }
    : { dtype: 'f32', data: await file.readFloat32(key) };
}
