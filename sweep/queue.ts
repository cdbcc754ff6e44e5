/** Room: sweep. What the coordinator asks of a queue: the one within its process (`local-queue.ts`), or one on Redis (`redis/`). */
import type { Job, Outcome } from './job.ts';

/** How a job ended. */
export type JobEnd = {
  /** By `keyOf`. */
  readonly key: string;
} & ({ readonly outcome: Outcome } | { readonly error: string });

export interface TrialQueue extends AsyncDisposable {
  /**
   * Adds jobs; one whose key is there already is left as it is.
   * @param options.first before the others, in place of behind them
   * @param options.after jobs start when this one is done, which is among them
   */
  add(jobs: readonly Job[], options?: { readonly first?: boolean; readonly after?: Job | undefined }): Promise<void>;
  /** The next end of a job; undefined when the signal is aborted. Told again after a crash unless it was forgotten. */
  next(signal: AbortSignal): Promise<JobEnd | undefined>;
  /** Takes jobs out: those whose end was recorded, and those that are not to run any more. */
  forget(keys: readonly string[]): Promise<void>;
  /** Of some keys those that are not there: lost with the last second of a server, or never added. */
  missing(keys: readonly string[]): Promise<string[]>;
}
