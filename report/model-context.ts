/**
 * Room: report. What stands beside figures of a model that is there to try things on: a sentence on it, and figures of another model.
 * `context.json` in the model's folder; comparisons of the model take it along.
 */
import { z } from 'zod';
import { header, type VersionedFormat } from '../engine/io/versioned.ts';

/** A file of a model's folder. */
export const CONTEXT_FILE = 'context.json';

const text = z.string().min(1);

export const contextSchema = z.object({
  /** What the model is good for. */
  note: text,
  /** Figures of another model. */
  title: text,
  columns: z.array(text).min(2),
  rows: z.array(z.array(z.string())).min(1),
  /** Where they come from. */
  source: text,
});

export type ModelContext = z.infer<typeof contextSchema>;

export const contextFileSchema = z.object({ ...header('light-peft/model-context', 1), ...contextSchema.shape });

export const CONTEXT: VersionedFormat<z.infer<typeof contextFileSchema>> = {
  format: 'light-peft/model-context',
  version: 1,
  schema: contextFileSchema,
};
