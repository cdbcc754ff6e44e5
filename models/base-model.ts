/** Room: models. A frozen base checkpoint on the device, under its Hugging Face weight names. */
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../engine/errors.ts';
import { openSafetensors, type TensorFile } from '../engine/io/safetensors.ts';
import type { Shape } from '../engine/graph/shape.ts';
import type { Variable } from '../engine/variable.ts';
import { loadConfig, type EncoderConfig } from './config.ts';
import { LAYER_LINEARS, layerPrefix, type LayerShape } from './encoder.ts';
import { initialSpec, poolerShapes } from './heads.ts';

/** Storage of frozen matrices; biases and normalisation weights are always f32. */
export type WeightType = 'f32' | 'f16';

export class BaseModel {
  readonly config: EncoderConfig;
  /** Heads and neurons left per layer. */
  readonly layers: readonly LayerShape[];
  readonly weights: ReadonlyMap<string, Variable>;
  readonly #engine: Engine;

  constructor(
    engine: Engine,
    config: EncoderConfig,
    weights: ReadonlyMap<string, Variable>,
    layers: readonly LayerShape[],
  ) {
    this.#engine = engine;
    this.config = config;
    this.weights = weights;
    this.layers = layers;
  }

  /** Number of values in all weights. */
  get parameterCount(): number {
    return [...this.weights.values()].reduce((sum, w) => sum + w.size, 0);
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
 * @param extra further weights the task needs of the checkpoint, e.g. BERT's pooler
 * @throws UserError naming file and key for a missing weight or a wrong shape
 */
export async function loadBaseModel(
  engine: Engine,
  dir: string,
  { weightType = 'f32', extra = new Map() }: { weightType?: WeightType; extra?: ReadonlyMap<string, Shape> } = {},
): Promise<BaseModel> {
  const config = await loadConfig(dir);
  const file = await openSafetensors(dir);
  try {
    const weights = new Map<string, Variable>();
    for (const [name, shape] of [...encoderWeightShapes(config), ...extra]) {
      const key = storedName(file, name, config);
      weights.set(name, await loadWeight(engine, file, key ?? name, name, shape, weightType));
    }
    return new BaseModel(engine, config, weights, fullLayers(config));
  } finally {
    await file.close();
  }
}

/** A base of fresh random weights: what a checkpoint is to be compared with. @param normal draws standard normal numbers */
export function randomBaseModel(engine: Engine, config: EncoderConfig, normal: () => number): BaseModel {
  const weights = new Map<string, Variable>();
  for (const [name, shape] of [...encoderWeightShapes(config), ...poolerShapes(config)]) {
    const { data } = initialSpec(name, shape, config.initializerRange, normal);
    weights.set(name, engine.variable(name, shape, { kind: 'weights', data }));
  }
  return new BaseModel(engine, config, weights, fullLayers(config));
}

/** The name under which a checkpoint stores a weight: bare encoders leave the family's prefix out. */
export function storedName(file: TensorFile, name: string, { family }: EncoderConfig): string | undefined {
  const bare = name.startsWith(`${family}.`) ? name.slice(family.length + 1) : name;
  const old = (n: string): string =>
    n.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta');
  return [name, bare, old(name), old(bare)].find((candidate) => file.names.includes(candidate));
}

async function loadWeight(
  engine: Engine,
  file: TensorFile,
  key: string,
  name: string,
  shape: Shape,
  weightType: WeightType,
): Promise<Variable> {
  const info = file.info(key);
  if (info.shape.length !== shape.length || info.shape.some((n, i) => n !== shape[i])) {
    throw new UserError(
      `${file.path}: ${key} has shape [${info.shape.join(', ')}], config.json asks for [${shape.join(', ')}]`,
    );
  }
  const half = weightType === 'f16' && shape.length === 2;
  return half
    ? engine.variable(name, shape, { kind: 'weights', dtype: 'f16', data: await file.readFloat16(key) })
    : engine.variable(name, shape, { kind: 'weights', data: await file.readFloat32(key) });
}
