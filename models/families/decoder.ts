/** Room: models/families. The heads that all decoders have alike. */
import type { Architecture } from '../architecture.ts';

/**
 * Classification by the last token, extractive question answering, and the language model.
 * @param vocabulary the matrix of the language model's scores: the word embedding's name where they are tied
 */
export function decoderHeads(vocabulary: string): Architecture['heads'] {
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
      vocabulary: { module: 'lm_head', weight: vocabulary },
    },
  };
}
