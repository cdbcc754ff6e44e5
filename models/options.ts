/** Room: models. How a base is loaded, with defaults. */
import { z } from 'zod';

export const loadOptionsSchema = z.strictObject({
  weights: z.enum(['f32', 'f16']).default('f32').describe('storage of frozen weights'),
  embeddings: z
    .enum(['device', 'host'])
    .default('device')
    .describe('where the frozen word embedding lives; one over the binding limit is on the host'),
  newHead: z.boolean().optional().describe('draw the head anew, where the checkpoint has one for the same classes'),
  taskHeads: z
    .enum(['shared', 'per-task'])
    .optional()
    .describe(
      'several tasks: one head for all, or one for each (default: one for all where they have the same classes)',
    ),
  resizeEmbeddings: z
    .boolean()
    .optional()
    .describe("grow the vocabulary to the tokenizer's: new rows are the mean of the old, all are trained and saved"),
});
