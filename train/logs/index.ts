/**
 * Room: train/logs. A run written down while it goes on: JSON Lines, CSV, TensorBoard. Each log is a `TrainerCallback` and knows nothing of
 * others, or of the loop. It may import the engine's files and errors, and `train/callbacks.ts`.
 */
export { CsvLog } from './csv.ts';
export { JsonlLog } from './jsonl.ts';
export type { LogOptions, RunLabel, TrainingLog } from './log.ts';
export { TensorBoardLog } from './tensorboard.ts';
