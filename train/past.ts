/** Room: train. What a run has behind it: losses, evaluations, the best weights, how long it took; and its state on disk. */
import type { Engine } from '../engine/engine.ts';
import { exists } from '../engine/io/files.ts';
import type { Variable } from '../engine/variable.ts';
import { Evaluations } from './best.ts';
import type { EvaluationRecord } from './callbacks.ts';
import { loadCheckpoint, saveCheckpoint } from './checkpoint.ts';
import type { EvaluationPlan } from './evaluation-plan.ts';
import type { StepTiming } from './loop.ts';
import type { LossBuffer } from './loss-buffer.ts';
import type { CheckpointOptions } from './options.ts';
import type { HostMemory } from './step.ts';

/** The device's side of a run. */
export interface RunState {
  readonly engine: Engine;
  readonly losses: LossBuffer;
  /** Everything that a step reads of those before. */
  readonly state: readonly Variable[];
  /** The rest of it, which checkpoints of earlier versions may lack. */
  readonly newState: readonly Variable[];
  /** Of it, what is trained. */
  readonly weights: readonly Variable[];
}

export class Past {
  readonly loss: number[] = [];
  readonly taskLoss: number[] = [];
  readonly rates: number[] = [];
  readonly evaluations: Evaluations | undefined;
  seconds = 0;
  tokens = 0;
  readonly #run: RunState;
  readonly #checkpoint: CheckpointOptions | undefined;
  readonly #plan: EvaluationPlan | undefined;
  readonly #memory: HostMemory | undefined;
  /** Those of the best evaluation, where they are kept. */
  #best: readonly Float32Array[] = [];

  constructor(
    run: RunState,
    checkpoint: CheckpointOptions | undefined,
    plan: EvaluationPlan | undefined,
    memory: HostMemory | undefined,
  ) {
    this.#memory = memory;
    this.#run = run;
    this.#checkpoint = checkpoint;
    this.#plan = plan;
    this.evaluations = plan && new Evaluations(plan.by);
  }

  /** @returns the step to go on with */
  async restore(): Promise<number> {
    const { engine, state, newState, weights } = this.#run;
    if (!this.#checkpoint?.resume || !(await exists(this.#checkpoint.path))) return 0;
    const { path, identity } = this.#checkpoint;
    const more = { weights, memory: this.#memory, newer: newState };
    const { step, past, best } = await loadCheckpoint(engine, path, identity, state, more);
    this.loss.push(...past.loss);
    this.taskLoss.push(...past.taskLoss);
    this.rates.push(...past.rates);
    this.seconds = past.seconds;
    this.tokens = past.tokens;
    for (const record of past.evaluations) this.evaluations?.add(record);
    this.#best = best;
    return step;
  }

  async read(first: number, to: number): Promise<number[]> {
    const { losses } = this.#run;
    const values = await losses.read('loss', first, to);
    this.loss.push(...values);
    this.taskLoss.push(...(await losses.read('task_loss', first, to)));
    return values;
  }

  /** Whether the evaluation after so many steps is behind it. */
  isEvaluated(step: number): boolean {
    return this.evaluations?.records.at(-1)?.step === step;
  }

  /** Measures after a step, and keeps the weights where they are the best. @throws the signal's reason, once it is aborted */
  async evaluate(step: number, epoch: number, signal: AbortSignal | undefined): Promise<EvaluationRecord> {
    const { measure, loadsBest } = this.#plan!;
    const record = this.evaluations!.add({ step, epoch, metrics: await measure(signal) });
    if (loadsBest && record.isBest) {
      const { engine, weights } = this.#run;
      this.#best = await Promise.all(weights.map((variable) => engine.read(variable)));
    }
    return record;
  }

  /** Ends with the best weights. */
  loadBest(): void {
    const { engine, weights } = this.#run;
    this.#best.forEach((values, i) => engine.write(weights[i]!, values));
  }

  /** @param part of this process's steps */
  async save(next: number, part: StepTiming): Promise<void> {
    const { engine, state, newState } = this.#run;
    const { path, identity } = this.#checkpoint!;
    const { loss, taskLoss, rates } = this;
    const timing = { seconds: this.seconds + part.seconds, tokens: this.tokens + part.tokens };
    const past = { loss, taskLoss, rates, ...timing, evaluations: this.evaluations?.records ?? [] };
    const variables = [...state, ...newState];
    await saveCheckpoint(engine, path, next, identity, variables, past, this.#best, this.#memory);
  }
}
