/** Room: train. What a run tells others on its way, in the order in which it happens, and how they stop it. */
import type { TaskRecord } from './task-history.ts';

/** A step, told when its loss has been read back: some steps after it ran. */
export interface StepRecord {
  /** From 1. */
  readonly step: number;
  /** Passes over the training data up to and with it; a fraction. */
  readonly epoch: number;
  /** The whole objective, and the task's loss alone: the same where nothing is added to it. */
  readonly loss: number;
  readonly taskLoss: number;
  readonly lr: number;
  /** L2 norm of all gradients before clipping. */
  readonly gradNorm: number;
  /** With several tasks: what there is to tell of each. */
  readonly tasks?: TaskRecord | undefined;
}

/** An evaluation during training. */
export interface EvaluationRecord {
  /** Steps taken before it. */
  readonly step: number;
  readonly epoch: number;
  /** Figures by name, as `eval --json` has them. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Whether it is the best so far, by the metric that chooses. */
  readonly isBest: boolean;
}

/**
 * Hears of a run. Methods may take time: the run waits for them. Of a run that was resumed, nothing is told twice but the steps after the
 * checkpoint. Compare transformers' `TrainerCallback`.
 */
export interface TrainerCallback {
  /**
   * The run begins.
   * @param step the first to run, from 0; > 0 when resuming
   * @param total steps of the whole run
   */
  onTrainBegin?(step: number, total: number): void | Promise<void>;
  /** @returns `stop`, or a promise of it, to end the run after the steps under way, as if it had been that long */
  onStep?(record: StepRecord): unknown;
  /** @returns `stop`, as above */
  onEvaluate?(record: EvaluationRecord): unknown;
  /** A checkpoint was written. */
  onSave?(step: number): void | Promise<void>;
  /** The run ended, by itself, by `stop`, or by an error. */
  onTrainEnd?(): void | Promise<void>;
}
