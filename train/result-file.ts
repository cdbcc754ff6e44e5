/** Room: train. `train.json`: how a fine-tuning went. */
import { z } from 'zod';
import { header, writeVersioned } from '../engine/io/versioned.ts';

const amount = z.number().nonnegative();

export const trainSchema = z.strictObject({
  ...header('light-peft/train', 1),
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

/** Writes the file atomically. */
export function writeTrainRecord(path: string, { metrics, loss, ...rest }: TrainRecord): Promise<void> {
  const content = { ...rest, loss: [...loss], ...(metrics && { metrics: { ...metrics } }) };
  return writeVersioned(path, { format: 'light-peft/train', version: 1, schema: trainSchema }, content);
}
