/** Room: train. `train.json`: how a fine-tuning went. */
import { z } from 'zod';
import { header, readVersioned, writeVersioned } from '../engine/io/versioned.ts';

const amount = z.number().nonnegative();

export const trainSchema = z.strictObject({
  ...header('light-peft/train', 1),
  /** The task's name, or the data's. */
  data: z.string().optional(),
  steps: z.int().positive(),
  /** Per step. */
  loss: z.array(z.number()),
  seconds: amount,
  /** Real tokens, padding left out. */
  tokens: amount,
  tokensPerSecond: amount,
  peakBytes: amount,
  /** The least bytes that a step could do with. */
  boundBytes: amount,
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
