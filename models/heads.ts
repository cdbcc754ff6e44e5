/** Room: models. Task heads on the encoder: sequence classification and masked-language modelling, as transformers has them. */
import type { ParameterSpec } from '../engine/nn/parameters.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { Shape } from '../engine/graph/shape.ts';
import { add, tanh } from '../engine/ops/elementwise.ts';
import { gatherRows } from '../engine/ops/gather.ts';
import { matmul } from '../engine/ops/matmul.ts';
import type { EncoderConfig } from './config.ts';
import { activation, linear, norm, type ForwardContext } from './encoder.ts';

/** Weights of the classification head that train with the task, by name; `modules_to_save` of PEFT. */
export function classifierShapes(config: EncoderConfig, labels: number): Map<string, Shape> {
  const d = config.hiddenSize;
  if (config.family === 'bert')
    return new Map([
      ['classifier.weight', [labels, d]],
      ['classifier.bias', [labels]],
    ]);
  return new Map<string, Shape>([
    ['classifier.dense.weight', [d, d]],
    ['classifier.dense.bias', [d]],
    ['classifier.out_proj.weight', [labels, d]],
    ['classifier.out_proj.bias', [labels]],
  ]);
}

/** Frozen weights a classifier needs beyond the encoder: BERT's pooler. */
export function poolerShapes({ family, hiddenSize: d }: EncoderConfig): Map<string, Shape> {
  return new Map<string, Shape>(
    family === 'bert'
      ? [
          ['bert.pooler.dense.weight', [d, d]],
          ['bert.pooler.dense.bias', [d]],
        ]
      : [],
  );
}

/**
 * Class scores from the first token of each sequence.
 * @param hidden f32 [batch·seq, hiddenSize]
 * @param firstTokens i32 [batch]: rows of `hidden`
 * @returns f32 [batch, labels]
 */
export function classify(context: ForwardContext, hidden: Tensor, firstTokens: Tensor): Tensor {
  const first = gatherRows(hidden, firstTokens);
  if (context.config.family === 'bert') {
    return linear(context, 'classifier', tanh(linear(context, 'bert.pooler.dense', first)));
  }
  return linear(context, 'classifier.out_proj', tanh(linear(context, 'classifier.dense', first)));
}

const MLM_NAMES = {
  roberta: { dense: 'lm_head.dense', norm: 'lm_head.layer_norm', bias: 'lm_head.bias' },
  bert: {
    dense: 'cls.predictions.transform.dense',
    norm: 'cls.predictions.transform.LayerNorm',
    bias: 'cls.predictions.bias',
  },
} as const;

/** Weights of the masked-language-model head; its decoder is the word embedding itself. */
export function mlmShapes({ family, hiddenSize: d, vocabSize }: EncoderConfig): Map<string, Shape> {
  const names = MLM_NAMES[family];
  return new Map<string, Shape>([
    [`${names.dense}.weight`, [d, d]],
    [`${names.dense}.bias`, [d]],
    [`${names.norm}.weight`, [d]],
    [`${names.norm}.bias`, [d]],
    [names.bias, [vocabSize]],
  ]);
}

/**
 * Vocabulary scores of chosen positions.
 * @param hidden f32 [batch·seq, hiddenSize]
 * @param positions i32 [count]: rows of `hidden`; negative entries give scores of a zero row
 * @returns f32 [count, vocabSize]
 */
export function maskedLanguageModel(context: ForwardContext, hidden: Tensor, positions: Tensor): Tensor {
  const { family, hiddenAct } = context.config;
  const names = MLM_NAMES[family];
  const dense = activation(hiddenAct)(linear(context, names.dense, gatherRows(hidden, positions)));
  const words = context.weight(`${family}.embeddings.word_embeddings.weight`);
  return add(matmul(norm(context, names.norm, dense), words, { transposeB: true }), context.weight(names.bias));
}

/** Draws standard normal numbers. */
export type Normal = () => number;

/** Fresh weights as transformers initialises them: normal(0, initializer_range), zero biases, unit normalisation. */
export function initialSpec(name: string, shape: Shape, range: number, normal: Normal): ParameterSpec {
  const size = shape.reduce((a, b) => a * b, 1);
  const isNorm = /(LayerNorm|layer_norm)\.weight$/.test(name);
  const isMatrix = shape.length === 2;
  const data = new Float32Array(size);
  if (isNorm) data.fill(1);
  else if (isMatrix) for (let i = 0; i < size; i++) data[i] = normal() * range;
  return { name, shape, data, decay: isMatrix };
}
