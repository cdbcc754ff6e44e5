/** Room: train/logs. What all logs of a run have in common: their options, and the rule for what is at their place already. */
import { option, UserError } from '../../engine/errors.ts';
import type { TrainerCallback } from '../callbacks.ts';

/** Tells apart runs that share a log. */
export interface RunLabel {
  readonly method: string;
  readonly seed: number;
}

/** How a log begins. */
export interface LogOptions {
  /** The run that is logged, where the log is of several. */
  readonly run?: RunLabel | undefined;
  /**
   * Goes on with a log that is there: what it says of this run's steps after the checkpoint is cut off. A run that goes on from a checkpoint
   * needs not say so.
   */
  readonly resume?: boolean | undefined;
  /** Replaces a log that is there. */
  readonly overwrite?: boolean | undefined;
}

/** A callback that writes a log. */
export interface TrainingLog extends TrainerCallback {
  /**
   * Tells early whether the log can be written; writes nothing. The beginning of a run does the same.
   * @throws UserError for a place that cannot be written, or that holds something which may not be replaced
   */
  check(): Promise<void>;
}

/** @throws UserError unless what is at `path` may be gone on with, or replaced */
export function assertMayReplace(path: string, what: string, { resume = false, overwrite = false }: LogOptions): void {
  if (!resume && !overwrite) throw new UserError(`${path}: ${what}: use another one, or ${option('overwrite')}`);
}
