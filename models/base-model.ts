/** Room: models. A frozen base checkpoint on the device, under its Hugging Face weight names. */
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../engine/errors.ts';
import { openSafetensors, type TensorFile } from '../engine/io/safetensors.ts';
import type { Shape } from '../engine/graph/shape.ts';
import type { Variable } from '../engine/variable.ts';
import { loadConfig, type EncoderConfig } from './config.ts';
import { LAYER_LINEARS, layerPrefix, type LayerShape } from './encoder.ts';

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

/** The linear layers of the unpruned encoder, in the order of the forward pass. */
export function linearLayers(config: EncoderConfig): LinearLayer[] {
  const { hiddenSize: d, intermediateSize: f } = config;
  return Array.from({ length: config.numLayers }, (_, layer) =>
    LAYER_LINEARS.map((linear) => ({
      name: `${layerPrefix(config, layer)}.${linear}`,
      inFeatures: linear === 'output.dense' ? f : d,
      outFeatures: linear === 'intermediate.dense' ? f : d,
    })),
  ).flat();
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
 * @param extra further weights to keep on the device, e.g. a pooler, where the checkpoint has them
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
      if (key === undefined && extra.has(name)) continue;
      weights.set(name, await loadWeight(engine, file, key ?? name, name, shape, weightType));
    }
    return new BaseModel(engine, config, weights, fullLayers(config));
  } finally {
    await file.close();
  }
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
