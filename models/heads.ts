/** Room: models. Task heads, as families describe them: sequence classification, multiple choice, answer spans, language models. */
import type { ParameterSpec } from '../engine/nn/parameters.ts';
import { namedScope } from '../engine/graph/scope.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { Shape } from '../engine/graph/shape.ts';
import { UserError } from '../engine/errors.ts';
import { add } from '../engine/ops/elementwise.ts';
import { gatherRows } from '../engine/ops/gather.ts';
import { layerNorm } from '../engine/ops/layernorm.ts';
import { matmulParts } from '../engine/ops/matmul-parts.ts';
import {
  embeddingTables,
  linearLayers,
  outerLinears,
  type Head,
  type HeadKind,
  type HeadLinear,
  type LayerShape,
  type LinearLayer,
  type ModelConfig,
  type VocabularyLayer,
} from './architecture.ts';
import { activation, intervened, linear, type ForwardContext } from './transformer.ts';

/** The head of a kind. @throws UserError where the family has none */
export function headOf({ architecture, family }: ModelConfig, kind: HeadKind): Head {
  const head = architecture.heads[kind];
  if (head) return head;
  const kinds = Object.keys(architecture.heads).join(', ');
  throw new UserError(`${family} has no head for ${kind}, expected one of ${kinds}`);
}

/** The linear layers of a head. @param labels outputs of the last one where it is one per label */
function headLinears(config: ModelConfig, linears: readonly HeadLinear[], labels: number): LinearLayer[] {
  // Every head's layers but the last keep the size of the hidden states.
  return linears.map(({ name, outFeatures = labels }) => ({ name, inFeatures: config.embeddingSize, outFeatures }));
}

function shapesOf(config: ModelConfig, linears: readonly HeadLinear[], labels: number): Map<string, Shape> {
  const shapes = new Map<string, Shape>();
  headLinears(config, linears, labels).forEach(({ name, inFeatures, outFeatures }, i) => {
    shapes.set(`${name}.weight`, [outFeatures, inFeatures]);
    const { bias, norm } = linears[i] as HeadLinear;
    if (bias) shapes.set(`${name}.bias`, [outFeatures]);
    if (norm !== undefined) shapes.set(`${norm}.weight`, [outFeatures]).set(`${norm}.bias`, [outFeatures]);
  });
  return shapes;
}

/** Weights of a head that train with the task, by name; `modules_to_save` of PEFT. @param labels number of classes */
export function headShapes(config: ModelConfig, kind: HeadKind, labels: number): Map<string, Shape> {
  return shapesOf(config, headOf(config, kind).trained, labels);
}

/** Frozen weights that a head needs beyond the base model's: BERT's pooler, what turns hidden states into words. */
export function frozenHeadShapes(config: ModelConfig, kind: HeadKind): Map<string, Shape> {
  const { frozen, vocabulary } = headOf(config, kind);
  const shapes = shapesOf(config, frozen, 0);
  if (vocabulary?.bias) shapes.set(`${vocabulary.module}.bias`, [config.vocabSize]);
  if (vocabulary?.tied === false) shapes.set(`${vocabulary.module}.weight`, [config.vocabSize, config.embeddingSize]);
  return shapes;
}

/** All layers that stay frozen, and so may be adapted: linear ones of blocks, around them, and of the head, and embeddings. */
export function adaptableLayers(config: ModelConfig, layers: readonly LayerShape[], kind: HeadKind): LinearLayer[] {
  const { frozen } = headOf(config, kind);
  return [...targetableLayers(config, layers, kind), ...outerLinears(config), ...headLinears(config, frozen, 0)];
}

/** Those of them that fresh modules are attached to: linear layers of blocks, what scores the vocabulary, and embeddings. */
export function targetableLayers(config: ModelConfig, layers: readonly LayerShape[], kind: HeadKind): LinearLayer[] {
  return [...linearLayers(config, layers), ...vocabularyLayers(config, kind), ...embeddingTables(config)];
}

/** The layer that scores the vocabulary, where a head has one. */
export function vocabularyLayers(config: ModelConfig, kind: HeadKind): LinearLayer[] {
  const { vocabulary } = headOf(config, kind);
  if (!vocabulary) return [];
  return [{ name: vocabulary.module, inFeatures: config.embeddingSize, outFeatures: config.vocabSize }];
}

/** Two modules that share the word embedding's matrix: what scores the vocabulary, and that embedding. */
export interface TiedModules {
  readonly scores: string;
  readonly words: string;
}

/** The modules that share a matrix; undefined for a head that has its own, or none. */
export function tiedModules(config: ModelConfig, kind: HeadKind): TiedModules | undefined {
  const { vocabulary } = headOf(config, kind);
  return vocabulary?.tied ? { scores: vocabulary.module, words: config.architecture.embeddings.words } : undefined;
}

/**
 * A head's scores.
 * @param hidden f32 [batch·seq, embeddingSize]
 * @param rows i32 [count]: rows of `hidden` to read, negative entries as rows of zeros; absent: all
 * @returns f32 [rows, labels], [rows, 1], [rows, 2] (start and end) or [rows, vocabSize]
 */
export function applyHead(context: ForwardContext, kind: HeadKind, hidden: Tensor, rows?: Tensor): Tensor {
  const head = headOf(context.config, kind);
  return namedScope('head', () => {
    const read = rows ? gatherRows(hidden, rows) : hidden;
    const features = [...head.frozen, ...head.trained].reduce((x, layer) => headLayer(context, layer, x), read);
    return head.vocabulary ? vocabularyScores(context, head.vocabulary, features) : features;
  });
}

function headLayer(context: ForwardContext, { name, bias, activation: act, norm }: HeadLinear, x: Tensor): Tensor {
  const y = linear(context, name, x, bias);
  const activated = act ? activation(act)(y) : y;
  if (norm === undefined) return activated;
  return layerNorm(activated, context.weight(`${norm}.weight`), context.weight(`${norm}.bias`), context.config.normEps);
}

function vocabularyScores(context: ForwardContext, { module, bias }: VocabularyLayer, x: Tensor): Tensor {
  const table = context.table(`${module}.weight`);
  return intervened(context, module, x, (input) => {
    const scores = matmulParts(input, table);
    return bias ? add(scores, context.weight(`${module}.bias`)) : scores;
  });
}

/** Draws standard normal numbers. */
export type Normal = () => number;

/** Fresh weights as transformers initialises them: normal(0, initializer_range), zero biases, unit normalisation. */
export function initialSpec(name: string, shape: Shape, range: number, normal: Normal): ParameterSpec {
  const size = shape.reduce((a, b) => a * b, 1);
  const isMatrix = shape.length === 2;
  const isNorm = !isMatrix && name.endsWith('.weight');
  const data = new Float32Array(size);
  if (isNorm) data.fill(1);
  else if (isMatrix) for (let i = 0; i < size; i++) data[i] = normal() * range;
  return { name, shape, data, decay: isMatrix };
}
