/** Room: train. `train.json`: how a fine-tuning went. */
import { z } from 'zod';
import type { TrainResult } from './trainer.ts';
import { header, readVersioned, writeVersioned } from '../engine/io/versioned.ts';

const amount = z.number().nonnegative();

/** What a run's record tells of its evaluations; absent where it had none. */
const evaluationFields = {
  evaluations: z
    .array(
      z.strictObject({
        /** Steps taken before it, and passes over the data. */
        step: z.int().nonnegative(),
        epoch: amount,
        metrics: z.record(z.string(), z.number()),
        /** Whether it was better than all before it. */
        isBest: z.boolean(),
      }),
    )
    .optional(),
  /** The best of them by a figure; whether the adapter has its weights. */
  best: z
    .strictObject({ step: z.int().nonnegative(), metric: z.string(), value: z.number(), isLoaded: z.boolean() })
    .optional(),
};

type EvaluationFields = z.output<z.ZodObject<typeof evaluationFields>>;

/** The evaluations of a run, as its record has them. */
export function evaluationRecord({ evaluations, best }: Pick<TrainResult, 'evaluations' | 'best'>): EvaluationFields {
  if (evaluations.length === 0) return {};
  return { evaluations: evaluations.map((e) => ({ ...e, metrics: { ...e.metrics } })), ...(best && { best }) };
}

export const trainSchema = z.strictObject({
  ...header('light-peft/train', 1),
  /** The task's name, or the data's. */
  data: z.string().optional(),
  steps: z.int().positive(),
  /** Per step. */
  loss: z.array(z.number()),
  seconds: amount,
  /** Of a teacher's passes before the first step; absent without one. */
  distillSeconds: amount.optional(),
  /** Real tokens, padding left out. */
  tokens: amount,
  tokensPerSecond: amount,
  peakBytes: amount,
  /** The least bytes that a step could do with. */
  boundBytes: amount,
  ...evaluationFields,
  /** On the evaluation data, where there are any; which scores there are follows from the head. */
  metrics: z.record(z.string(), z.unknown()).optional(),
});

export interface TrainRecord extends Omit<z.infer<typeof trainSchema>, 'format' | 'version' | 'metrics' | 'loss'> {
  readonly loss: readonly number[];
  readonly metrics?: object;
}

const TRAIN = { format: 'light-peft/train', version: 1, schema: trainSchema };

/** @throws UserError for a file that is missing, of another version, or malformed */
export async function readTrainRecord(path: string): Promise<TrainRecord> {
  const { format: _, version: __, metrics, ...record } = await readVersioned(path, TRAIN);
  return { ...record, ...(metrics && { metrics }) };
}

/** Writes the file atomically. */
export function writeTrainRecord(path: string, { metrics, loss, ...rest }: TrainRecord): Promise<void> {
  const content = { ...rest, loss: [...loss], ...(metrics && { metrics: { ...metrics } }) };
  return writeVersioned(path, TRAIN, content);
}
