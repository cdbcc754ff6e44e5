/** Room: models/families. What all decoders have alike: keys and heads. */
import { z } from 'zod';
import type { Architecture } from '../architecture.ts';
import { commonKeys } from '../schema.ts';

/** Keys that every decoder has. That it is one changes nothing; a pad token of −1 is none. */
export const decoderKeys = {
  ...commonKeys,
  is_decoder: z.boolean().nullish(),
  pad_token_id: z
    .int()
    .min(-1)
    .nullish()
    .transform((id) => (id === -1 ? null : id)),
};

/**
 * Classification by the last token, extractive question answering, and the language model.
 * @param tied whether the word embedding is the matrix of the language model's scores too
 */
export function decoderHeads(tied: boolean): Architecture['heads'] {
  return {
    classification: { reads: 'last-token', frozen: [], trained: [{ name: 'score', bias: false }] },
    'question-answering': {
      reads: 'every-token',
      frozen: [],
      trained: [{ name: 'qa_outputs', outFeatures: 2, bias: true }],
    },
    'causal-lm': {
      reads: 'every-token',
      frozen: [],
      trained: [],
      vocabulary: { module: 'lm_head', tied, bias: false },
    },
  };
}
