/** Room: train. Batches of several tasks: one of each a step, of the sizes that a rule sets. Pure functions. */
import type { Batch } from '../data/data-loader.ts';
import { option, UserError } from '../engine/errors.ts';
import type { BatchSource } from './trainer.ts';

/**
 * Examples of each task in a step. The largest task has `batchSize`; another one of n examples has batchSize · (n / largest)^(1/T), at least one:
 * T = 1 for `proportional`, ∞ for `equal` (the temperature of multilingual BERT and T5).
 * @param sizes examples of each task
 * @param mix `equal`, `proportional` or `temperature=T`
 */
export function mixedBatchSizes(sizes: readonly number[], batchSize: number, mix: string): number[] {
  const temperature = temperatureOf(mix);
  const largest = Math.max(...sizes);
  return sizes.map((size) => Math.max(1, Math.round(batchSize * (size / largest) ** (1 / temperature))));
}

/** @throws UserError for another rule */
function temperatureOf(mix: string): number {
  if (mix === 'equal') return Infinity;
  if (mix === 'proportional') return 1;
  const [, number] = /^temperature=(.+)$/.exec(mix) ?? [];
  const temperature = Number(number);
  if (temperature > 0) return temperature;
  throw new UserError(
    `${option('taskMix')}: found "${mix}", expected equal, proportional, or temperature=T with a number above 0`,
  );
}

/** A batch of each task by place. An epoch is that of the task with most batches; others begin again, in a new order. */
export class TaskBatches implements BatchSource<readonly Batch[]> {
  readonly #tasks: readonly BatchSource<Batch>[];
  readonly perEpoch: number;

  /** @param tasks at least one */
  constructor(tasks: readonly BatchSource<Batch>[]) {
    this.#tasks = tasks;
    this.perEpoch = Math.max(...tasks.map(({ perEpoch }) => perEpoch));
  }

  at(epoch: number, index: number): readonly Batch[] {
    const place = epoch * this.perEpoch + index;
    return this.#tasks.map((task) => task.at(Math.floor(place / task.perEpoch), place % task.perEpoch));
  }
}
