/**
 * Room: models. The post-norm transformer encoder of BERT (Devlin et al. 2019) and RoBERTa (Liu et al. 2019), written over
 * weights under their Hugging Face names, with any number of heads and neurons per layer.
 */
import type { Tensor } from '../engine/graph/tensor.ts';
import { attention } from '../engine/ops/attention.ts';
import { add, dropout, gelu, geluTanh, relu, tanh, type RandomState } from '../engine/ops/elementwise.ts';
import { gatherRows } from '../engine/ops/gather.ts';
import { layerNorm } from '../engine/ops/layernorm.ts';
import { expand } from '../engine/ops/reduce.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { checkpoint } from '../engine/ops/recall.ts';
import type { Activation, EncoderConfig } from './config.ts';
import type { Intervention } from './intervention.ts';

/** Sizes of one layer; pruning makes them differ between layers. */
export interface LayerShape {
  readonly heads: number;
  readonly neurons: number;
}

/** One batch: i32 [batch, seq] each. Positions are Hugging Face's position ids. */
export interface EncoderInputs {
  readonly inputIds: Tensor;
  readonly positionIds: Tensor;
  readonly tokenTypeIds: Tensor;
  readonly attentionMask: Tensor;
  /** f32 [batch·seq, hiddenSize]: the rows of `inputIds`, where the word embedding stays on the host. */
  readonly words?: Tensor;
}

/** Everything a forward pass reads besides its inputs. */
export interface ForwardContext {
  readonly config: EncoderConfig;
  readonly layers: readonly LayerShape[];
  /** The weight of that Hugging Face name, in its stored shape. */
  weight(name: string): Tensor;
  readonly interventions: readonly Intervention[];
  /** Dropout of hidden states while training; absent at inference. */
  readonly hiddenDropout?: { readonly rate: number; readonly random: RandomState };
}

const ACTIVATIONS: Record<Activation, (x: Tensor) => Tensor> = { gelu, gelu_tanh: geluTanh, relu, tanh };

export function activation(name: Activation): (x: Tensor) => Tensor {
  return ACTIVATIONS[name];
}

/** The six linear layers of an encoder layer, by their names below `….layer.N.`. */
export const LAYER_LINEARS = [
  'attention.self.query',
  'attention.self.key',
  'attention.self.value',
  'attention.output.dense',
  'intermediate.dense',
  'output.dense',
] as const;

/** `roberta.encoder.layer.3` */
export function layerPrefix(config: EncoderConfig, layer: number): string {
  return `${config.family}.encoder.layer.${layer}`;
}

/** x·Wᵀ + b, with the interventions before and after. */
export function linear(context: ForwardContext, name: string, x: Tensor): Tensor {
  const input = context.interventions.reduce((v, i) => i.input?.(name, v) ?? v, x);
  const y = add(matmul(input, context.weight(`${name}.weight`), { transposeB: true }), context.weight(`${name}.bias`));
  return context.interventions.reduce((out, i) => i.linear?.(name, input, out) ?? out, y);
}

/** Layer normalisation with the weights under `name`. */
export function norm(context: ForwardContext, name: string, x: Tensor): Tensor {
  return layerNorm(x, context.weight(`${name}.weight`), context.weight(`${name}.bias`), context.config.layerNormEps);
}

/**
 * Hidden states of the last layer.
 * @returns f32 [batch·seq, hiddenSize]
 */
export function encode(context: ForwardContext, inputs: EncoderInputs): Tensor {
  let hidden = embed(context, inputs);
  context.layers.forEach((shape, layer) => {
    const input = checkpoint(hidden);
    hidden = feedForward(context, layer, selfAttention(context, layer, shape, input, inputs.attentionMask));
  });
  return hidden;
}

function embed(context: ForwardContext, inputs: EncoderInputs): Tensor {
  const { family, typeVocabSize } = context.config;
  const table = (name: string): Tensor => context.weight(`${family}.embeddings.${name}.weight`);
  const words = inputs.words ?? gatherRows(table('word_embeddings'), inputs.inputIds);
  const positions = gatherRows(table('position_embeddings'), inputs.positionIds);
  const types = table('token_type_embeddings');
  const typed = typeVocabSize === 1 ? add(words, types) : add(words, gatherRows(types, inputs.tokenTypeIds));
  return drop(context, 0, norm(context, `${family}.embeddings.LayerNorm`, add(typed, positions)));
}

function drop({ hiddenDropout }: ForwardContext, stream: number, x: Tensor): Tensor {
  return hiddenDropout ? dropout(x, hiddenDropout.rate, stream, hiddenDropout.random) : x;
}

function selfAttention(
  context: ForwardContext,
  layer: number,
  { heads }: LayerShape,
  hidden: Tensor,
  mask: Tensor,
): Tensor {
  const { config, interventions } = context;
  const prefix = layerPrefix(config, layer);
  let y: Tensor | undefined;
  if (heads > 0) {
    const [q, k, v] = ['query', 'key', 'value'].map((n) => linear(context, `${prefix}.attention.self.${n}`, hidden));
    const [batch, seq] = mask.shape as [number, number];
    const headDim = config.hiddenSize / config.numHeads;
    const spec = { batch, seq, heads, headDim, causal: false, scale: 1 / Math.sqrt(headDim) };
    const running = interventions.map((i) => i.headsToRun?.(layer)).find((t) => t !== undefined);
    const attended = attention(q as Tensor, k as Tensor, v as Tensor, mask, spec, running);
    const scaled = interventions.reduce((x, i) => i.context?.(layer, x) ?? x, attended);
    y = linear(context, `${prefix}.attention.output.dense`, scaled);
  }
  return finishSublayer(context, `${prefix}.attention.output`, 2 * layer + 1, hidden, y);
}

function feedForward(context: ForwardContext, layer: number, hidden: Tensor): Tensor {
  const prefix = layerPrefix(context.config, layer);
  let y: Tensor | undefined;
  if ((context.layers[layer] as LayerShape).neurons > 0) {
    const activated = activation(context.config.hiddenAct)(linear(context, `${prefix}.intermediate.dense`, hidden));
    const masked = context.interventions.reduce((x, i) => i.intermediate?.(layer, x) ?? x, activated);
    y = linear(context, `${prefix}.output.dense`, masked);
  }
  return finishSublayer(context, `${prefix}.output`, 2 * layer + 2, hidden, y);
}

/** Interventions, dropout, residual and normalisation after a sublayer; an emptied sublayer (no output) still adds its bias. */
function finishSublayer(
  context: ForwardContext,
  name: string,
  stream: number,
  hidden: Tensor,
  output?: Tensor,
): Tensor {
  const bias = context.weight(`${name}.dense.bias`);
  const projected = output ?? expand(bias, hidden.shape);
  const adapted = context.interventions.reduce(
    (y, i) => i.sublayer?.(name, y, hidden, () => norm(context, `${name}.LayerNorm`, add(y, hidden))) ?? y,
    projected,
  );
  return norm(context, `${name}.LayerNorm`, add(drop(context, stream, adapted), hidden));
}
