/** Room: train. What a training run needs to know of its steps, and what those with an `Optimization` have in common. */
import type { Program } from '../engine/compile/program.ts';
import type { Engine } from '../engine/engine.ts';
import type { Variable } from '../engine/variable.ts';
import type { StepRecord } from './callbacks.ts';
import type { LossBuffer } from './loss-buffer.ts';
import type { Optimization } from './optimization.ts';
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

/** Steps whose optimizer, pace and losses are an `Optimization`. */
export abstract class OptimizedSteps<B> implements RunSteps<B> {
  readonly engine: Engine;
  protected readonly optimization: Optimization;

  constructor(engine: Engine, optimization: Optimization) {
    this.engine = engine;
    this.optimization = optimization;
  }

  abstract run(step: number, batch: B): Promise<void>;
  abstract tokens(batch: B): number;
  abstract readonly programs: readonly Program[];
  abstract dispose(): void;

  records(past: StepLosses, from: number, to: number, perEpoch: number): Promise<StepRecord[]> {
    return this.optimization.records(past, from, to, perEpoch);
  }

  get losses(): LossBuffer {
    return this.optimization.losses;
  }

  get weights(): readonly Variable[] {
    return this.optimization.weights;
  }

  get state(): readonly Variable[] {
    return this.optimization.state;
  }

  get newState(): readonly Variable[] {
    return this.optimization.newState;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Disposes of a program once it is compiled. That it could not be was told to who waited for it. */
export function disposeOf(program: Promise<Program> | undefined): void {
  void program?.then(
    (compiled) => compiled.dispose(),
    () => undefined,
  );
}
