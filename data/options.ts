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
  as: z
    .enum(['text'])
    .optional()
    .describe('put a task as text, for language models: its choices are judged by likelihood'),
  numFewshot: z
    .int()
    .nonnegative()
    .optional()
    .describe('of a task as text: examples from the training split before each row that is judged'),
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
    .optional()
    .describe('let a question have no answer, where that scores highest; on for squad_v2'),
  lossOn: z
    .enum(['assistant', 'all'])
    .default('assistant')
    .describe("what is learned of conversations and of prompts with completions: the assistant's part, or all"),
  nullThreshold: z
    .number()
    .default(ANSWER_DEFAULTS.nullThreshold)
    .describe('with `allowEmptyAnswer`: by how much no answer must score higher than the best answer'),
  maxLength: count
    .optional()
    .describe('longest sequence in tokens (default: 128; of a task as text, what the model takes)'),
  packing: z
    .boolean()
    .optional()
    .describe(
      'several training examples of a language model in one row of up to `maxLength` tokens; each sees itself alone',
    ),
  evalSplit: z
    .enum(['train', 'validation', 'test'])
    .optional()
    .describe('split of a task to evaluate on, if not its usual one: validation, test for sentiment and spam'),
  selectionSplit: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe('share of the training data, by a hash of each example, to set apart and evaluate on'),
  maxTrainExamples: count.optional().describe('so many training examples, drawn at random'),
  maxEvalExamples: count.optional().describe('so many evaluation examples, drawn at random'),
  dataSeed: z.int().nonnegative().optional().describe('seed of these draws and of packing, if not 0'),
  columns: z
    .record(z.string(), z.string())
    .optional()
    .describe('names of the columns that examples are read by, as text=sentence,label=score'),
});

/** Tokens of the longest sequence, where nothing is said. */
export const MAX_LENGTH = 128;

/** Options that differ from the defaults. */
export type DataOptions = z.input<typeof dataOptionsSchema>;
