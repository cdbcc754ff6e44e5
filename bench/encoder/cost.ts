/** Room: bench/encoder. What a step of a transformer costs at least, by its shapes: operations, and bytes that must be held. */
import { linearLayers, type LayerShape, type ModelConfig } from '../../models/architecture.ts';
import type { PeftModule } from '../../peft/module.ts';

/** Batch rows and tokens in each. */
export interface BatchShape {
  readonly batch: number;
  readonly seq: number;
}

/** Sizes of a layer whose keys and values have as many heads as its queries. */
type EncoderLayer = Pick<LayerShape, 'heads' | 'neurons'>;

/** `lora`: forward and the gradients of inputs; `full`: those of weights too. */
export type Pass = 'forward' | 'lora' | 'full';

/** Products of the linear layers, and products within attention, relative to a forward pass. */
const PASSES: Readonly<Record<Pass, readonly [linear: number, attention: number]>> = {
  forward: [1, 1],
  lora: [2, 3],
  full: [3, 3],
};

/** Operations of the transformer layers; PEFT modules, embeddings and head left out. A causal token meets half of the keys on average. */
export function blockFlops(
  { hiddenSize, numHeads, architecture }: ModelConfig,
  layers: readonly EncoderLayer[],
  { batch, seq }: BatchShape,
  pass: Pass,
): number {
  const [linear, attention] = PASSES[pass];
  const tokens = batch * seq;
  const keys = architecture.block.causal ? (seq + 1) / 2 : seq;
  return layers.reduce((sum, { heads, neurons }) => {
    const features = (heads * hiddenSize) / numHeads;
    const products = 2 * tokens * hiddenSize * (4 * features + 2 * neurons);
    return sum + linear * products + attention * 4 * tokens * keys * features;
  }, 0);
}

/** Operations of a tied vocabulary matrix in a training step: scores, and the gradient of what they are made of. */
export function vocabularyFlops({ hiddenSize, vocabSize }: ModelConfig, { batch, seq }: BatchShape): number {
  return 4 * batch * seq * hiddenSize * vocabSize;
}

/** Operations that LoRA adds to a training step: two thin products forward, four backward. */
export function peftFlops(modules: readonly PeftModule[], { batch, seq }: BatchShape): number {
  return modules.reduce((sum, m) => sum + 6 * batch * seq * m.ranks * (m.inFeatures + m.outFeatures), 0);
}

/**
 * Values that a training step must keep from forward to backward, whatever cheap is recomputed: the input of each normalisation,
 * queries, keys, values, attention's output with its log-sum-exp, and the pre-activation of the FFN. Below the lowest trained module
 * nothing is kept. Normalised values, activations and low-rank products are recomputed from those.
 */
export function savedValues(
  config: ModelConfig,
  layers: readonly EncoderLayer[],
  modules: readonly PeftModule[],
  { batch, seq }: BatchShape,
): number {
  const { hiddenSize: d, numHeads } = config;
  const linears = linearLayers(config);
  const perLayer = linears.length / config.numLayers;
  const lowest = Math.min(...modules.map(({ name }) => linears.findIndex((linear) => linear.name === name)));
  return layers.reduce((sum, { heads, neurons }, layer) => {
    const first = lowest - layer * perLayer;
    const features = (heads * d) / numHeads;
    if (first >= perLayer) return sum;
    // By the lowest module of the layer: projections, attention's output, intermediate, output.
    const perToken = [4 * features + heads + 2 * d + neurons, features + 2 * d + neurons, 2 * d + neurons, d + neurons];
    return sum + batch * seq * perToken[Math.max(0, first - 2)]!;
  }, 0);
}

/**
 * Values that a forward pass holds at its widest, every tensor between two kernels being whole: the residual stream with queries,
 * keys, values and attention's output, or with the activated FFN. A normalisation before a sublayer leaves its result beside the stream.
 */
export function heldValues(
  { hiddenSize: d, numHeads, architecture }: ModelConfig,
  layers: readonly EncoderLayer[],
  { batch, seq }: BatchShape,
): number {
  const normalised = architecture.block.preNorm ? d : 0;
  const widths = layers.map(({ heads, neurons }) => {
    const features = (heads * d) / numHeads;
    return d + Math.max(4 * features, normalised + 3 * features, normalised + neurons);
  });
  return batch * seq * Math.max(...widths);
}

export interface MemoryParts {
  /** Bytes of the frozen weights as stored. */
  readonly weights: number;
  /** Values that train. */
  readonly trainables: number;
  /** Values kept for the backward pass, and the bytes of each. */
  readonly saved: number;
  readonly savedBytes?: number;
}

/** Bytes that must be held at the peak of a training step: weights, value, gradient and two moments of trainables, what is saved. */
export function memoryBound({ weights, trainables, saved, savedBytes = 4 }: MemoryParts): number {
  return weights + 4 * 4 * trainables + savedBytes * saved;
}
