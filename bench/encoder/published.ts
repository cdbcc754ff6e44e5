/** Room: bench/encoder. Shapes of published models. */
import type { EncoderShape, Family } from './model.ts';

export interface Published extends EncoderShape {
  readonly name: string;
  readonly family: Family;
}

export const PUBLISHED: readonly Published[] = [
  {
    name: 'RoBERTa-base',
    family: 'roberta',
    layers: 12,
    hidden: 768,
    heads: 12,
    neurons: 3072,
    vocab: 50265,
    positions: 512,
  },
  {
    name: 'RoBERTa-large',
    family: 'roberta',
    layers: 24,
    hidden: 1024,
    heads: 16,
    neurons: 4096,
    vocab: 50265,
    positions: 512,
  },
  {
    name: 'OPT-1.3B',
    family: 'opt',
    layers: 24,
    hidden: 2048,
    heads: 32,
    neurons: 8192,
    vocab: 50272,
    positions: 2048,
  },
];
