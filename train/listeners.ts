/** Room: train. The callbacks of a run as one: told in their order, each waited for. */
import type { EvaluationRecord, StepRecord, TrainerCallback } from './callbacks.ts';

export class Listeners {
  readonly #callbacks: readonly TrainerCallback[];
  /** Whether any hears of steps. */
  readonly hearSteps: boolean;

  constructor(callbacks: readonly TrainerCallback[] = []) {
    this.#callbacks = callbacks;
    this.hearSteps = callbacks.some((callback) => callback.onStep !== undefined);
  }

  async begin(step: number, total: number): Promise<void> {
    for (const callback of this.#callbacks) await callback.onTrainBegin?.(step, total);
  }

  /** @param records asked for only where somebody hears of steps @returns whether one of them ends the run */
  async steps(records: () => Promise<readonly StepRecord[]>): Promise<boolean> {
    let isOver = false;
    for (const record of this.hearSteps ? await records() : [])
      for (const callback of this.#callbacks) if ((await callback.onStep?.(record)) === 'stop') isOver = true;
    return isOver;
  }

  /** @returns whether one of them ends the run */
  async evaluation(record: EvaluationRecord): Promise<boolean> {
    let isOver = false;
    for (const callback of this.#callbacks) if ((await callback.onEvaluate?.(record)) === 'stop') isOver = true;
    return isOver;
  }

  async save(step: number): Promise<void> {
    for (const callback of this.#callbacks) await callback.onSave?.(step);
  }

  /** Tells all of them, whatever one throws. */
  async end(): Promise<void> {
    const told = await Promise.allSettled(this.#callbacks.map(async (callback) => callback.onTrainEnd?.()));
    const failed = told.find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
  }
}
