/**
 * Room: report/paper. What is kept of the paper's table: its parts, each a run with its predictions, and comparisons of importance scores; both
 * say where their figures come from.
 */
import { z } from 'zod';
import { header, type VersionedFormat } from '../../engine/io/versioned.ts';

export const partSchema = z.strictObject({
  ...header('light-peft/paper-part', 1),
  /** `sst2/lora/light-peft/0.5/seed-0`; of the choice of a learning rate `sst2/lora/light-peft/0.5/lr-0.001`. */
  name: z.string(),
  task: z.string(),
  peft: z.string(),
  method: z.string(),
  /** Part of heads and of neurons that is pruned; 0 without pruning. */
  ratio: z.number(),
  seed: z.int().nonnegative(),
  lr: z.number(),
  /** Options of the run, by their flags. */
  config: z.record(z.string(), z.json()),
  /** Of the evaluation: that of the development set, of a choice that of the selection split. */
  metrics: z.record(z.string(), z.number()),
  /** Class indices of the development set's rows in order, or scores; absent for a choice. */
  predictions: z.array(z.number()).optional(),
  device: z.strictObject({ adapter: z.string(), software: z.boolean(), host: z.string() }),
  date: z.string(),
  /** Of the sources, with `+` where they had changes. */
  commit: z.string(),
  sources: z.string(),
  fingerprint: z.string(),
  command: z.string(),
});

export type PaperPart = z.infer<typeof partSchema>;

export const PART: VersionedFormat<PaperPart> = { format: 'light-peft/paper-part', version: 1, schema: partSchema };

const triedSchema = z.strictObject({
  seed: z.int().nonnegative(),
  /** A score, `random` or `none`. */
  importance: z.string(),
  /** Empty where nothing is pruned. */
  headsScope: z.string(),
  neuronsScope: z.string(),
  ratio: z.number(),
  accuracy: z.number(),
  loss: z.number(),
});

/** Of one choice of heads and neurons, tried by masks. */
export type TriedScore = z.infer<typeof triedSchema>;

const headSchema = z.strictObject({
  seed: z.int().nonnegative(),
  layer: z.int().nonnegative(),
  head: z.int().nonnegative(),
  /** Of the model without this head. */
  loss: z.number(),
  /** By their names. */
  scores: z.record(z.string(), z.number()),
});

/** A head, left out alone, and what the scores say of it. */
export type TriedHead = z.infer<typeof headSchema>;

export const scoresSchema = z.strictObject({
  ...header('light-peft/score-comparison', 1),
  task: z.string(),
  /** Of the table's. */
  estimation: z.string(),
  /** Rows of the training data that it was tried on. */
  examples: z.int().positive(),
  /** Of the estimation. */
  steps: z.int().positive(),
  date: z.string(),
  command: z.string(),
  adapter: z.string(),
  software: z.boolean(),
  fingerprint: z.string(),
  versions: z.record(z.string(), z.string()),
  rows: z.array(triedSchema),
  heads: z.array(headSchema),
});

export type ScoreComparison = z.infer<typeof scoresSchema>;

export const SCORES: VersionedFormat<ScoreComparison> = {
  format: 'light-peft/score-comparison',
  version: 1,
  schema: scoresSchema,
};
