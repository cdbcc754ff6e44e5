/** Room: train. What a training run needs to know of its steps. */
import type { Program } from '../engine/compile/program.ts';
import type { StepRecord } from './callbacks.ts';
import type { RunState } from './past.ts';

/** Losses of the steps so far, by step. */
export interface StepLosses {
  readonly loss: readonly number[];
  readonly taskLoss: readonly number[];
}

/** The steps of one run: on one batch each, or on several tasks' batches. */
export interface RunSteps<B> extends RunState, Disposable {
  /** Enqueues a step. @param step counts from 0 */
  run(step: number, batch: B): Promise<void>;
  /** Real tokens, padding left out. */
  tokens(batch: B): number;
  /** What there is to tell of steps from … to − 1, the latest. @param past losses of all steps so far */
  records(past: StepLosses, from: number, to: number, perEpoch: number): Promise<StepRecord[]>;
  /** Hears that steps from … to − 1, the latest, have run. @throws UserError for what makes it useless to go on */
  settled?(from: number, to: number): Promise<void>;
  readonly programs: readonly Program[];
}
