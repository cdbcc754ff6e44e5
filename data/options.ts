/** Room: data. What is asked of data, with defaults: the task, the lengths, and how answers are chosen. */
import { z } from 'zod';
import { ANSWER_DEFAULTS } from './qa/answers.ts';

const count = z.int().positive();

/** Options of `loadData`, with defaults. */
export const dataOptionsSchema = z.strictObject({
  taskType: z
    .enum(['SEQ_CLS', 'CAUSAL_LM', 'QUESTION_ANS', 'MULTIPLE_CHOICE'])
    .optional()
    .describe('the task, if the data does not tell'),
  problemType: z
    .enum(['single_label_classification', 'multi_label_classification', 'regression'])
    .optional()
    .describe('what the labels of SEQ_CLS are, if they do not tell'),
  maxAnswerLength: count
    .default(ANSWER_DEFAULTS.maxAnswerLength)
    .describe('longest answer to a question on a text, in tokens'),
  docStride: count.default(128).describe('tokens that two windows of a long context share, at most half of a window'),
  allowEmptyAnswer: z
    .boolean()
    .default(ANSWER_DEFAULTS.allowEmptyAnswer)
    .describe('let a question have no answer, where that scores highest'),
  lossOn: z
    .enum(['assistant', 'all'])
    .default('assistant')
    .describe("what is learned of conversations and of prompts with completions: the assistant's part, or all"),
  maxLength: count.default(128).describe('longest sequence in tokens'),
  evalSplit: z.enum(['test', 'validation']).default('test').describe('split of a built-in task to evaluate on'),
});

/** Options that differ from the defaults. */
export type DataOptions = z.input<typeof dataOptionsSchema>;
