/**
 * Room: train. Ends an estimation when its kept sets have settled (docs/method.md §4). Whenever that is, the second half of the steps made
 * must be known: samples are summed up by stretches, which end at the windows' ends and in their middles.
 */
import { z } from 'zod';
import { option, UserError } from '../engine/errors.ts';
import { validate } from '../engine/io/files.ts';
import { decide, type DecideOptions, type ImportanceScores } from '../pruning/decide.ts';
import type { Importance, ImportanceAccumulators } from '../pruning/importance.ts';
import { keptSets, Stability, stabilityStateSchema, type MaskDistances } from '../pruning/stability.ts';
import type { StableOptions } from './stable-options.ts';
import type { SavedMemory } from './step.ts';

/** Samples of steps from … to − 1. */
interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly sums: Float32Array;
}

const savedSchema = z.strictObject({
  stability: stabilityStateSchema,
  /** Their sums are arrays, in the same order. */
  stretches: z.array(z.strictObject({ from: z.int(), to: z.int().positive() })),
});

/** Importance, and the number of steps that it is the mean over. */
export interface Counted {
  readonly countedSteps: number;
  readonly importance: Importance;
}

/** How an estimation came to end. */
export interface StableEnd extends StableOptions {
  /** Whether the kept sets agreed; else it took all steps. */
  readonly isReached: boolean;
  readonly distances: readonly MaskDistances[];
}

export class StableEstimation {
  readonly #options: StableOptions;
  readonly #decide: DecideOptions;
  readonly #accumulators: ImportanceAccumulators;
  readonly #stability: Stability;
  #stretches: Stretch[] = [];

  constructor(accumulators: ImportanceAccumulators, options: StableOptions, decideOptions: DecideOptions) {
    this.#accumulators = accumulators;
    this.#options = options;
    this.#decide = decideOptions;
    this.#stability = new Stability(options.threshold, options.queue);
  }

  /**
   * Takes up what a step has added to the accumulators.
   * @param made steps so far
   * @param scores with that importance, and the masks as they are
   */
  async afterStep(
    made: number,
    scores: (importance: Importance) => Promise<ImportanceScores>,
  ): Promise<'stop' | undefined> {
    const { window, minSteps, maxSteps } = this.#options;
    if (!endsStretch(made, window, maxSteps)) return undefined;
    await this.#take(made);
    if (made % window !== 0) return undefined;
    const found = await scores(this.#counted.importance);
    this.#stability.add(made, keptSets(decide(found, this.#decide), found));
    return made >= minSteps && this.#stability.isReached ? 'stop' : undefined;
  }

  /** Importance over the second half, and how many steps that is; over a few more where a callback ended the run within a window. */
  async finish(made: number): Promise<Counted> {
    if (this.#stretches.at(-1)?.to !== made) await this.#take(made);
    return this.#counted;
  }

  async #take(made: number): Promise<void> {
    const from = this.#stretches.at(-1)?.to ?? 0;
    this.#stretches.push({ from, to: made, sums: await this.#accumulators.sums() });
    this.#accumulators.clear();
    this.#stretches = this.#stretches.filter(({ to }) => to > firstCounted(made));
  }

  get #counted(): Counted {
    const steps = this.#stretches.at(-1)!.to - this.#stretches[0]!.from;
    const sums = this.#stretches.map((stretch) => stretch.sums);
    return { countedSteps: steps, importance: this.#accumulators.importance(sums, steps) };
  }

  get end(): StableEnd {
    const { isReached, distances } = this.#stability;
    return { ...this.#options, isReached, distances };
  }

  /** What a checkpoint holds of it. */
  save(): SavedMemory {
    const stretches = this.#stretches.map(({ from, to }) => ({ from, to }));
    const json: z.infer<typeof savedSchema> = { stability: this.#stability.state, stretches };
    return { json, arrays: this.#stretches.map(({ sums }) => sums) };
  }

  /** @param where it was read, for errors */
  restore({ json, arrays }: SavedMemory, where: string): void {
    const { stability, stretches } = validate(json, savedSchema, where);
    const size = this.#accumulators.size;
    if (arrays.length !== stretches.length || arrays.some(({ length }) => length !== size))
      throw new UserError(
        `${where}: expected sums of ${size} values for each of ${stretches.length} stretches: start anew without ${option('resume')}`,
      );
    this.#stability.state = stability;
    this.#stretches = stretches.map((steps, i) => ({ ...steps, sums: arrays[i]! }));
  }
}

/** The first step that counts of so many, from 0. */
export function firstCounted(steps: number): number {
  return Math.floor(steps / 2);
}

/** Whether a step is the first one counted of some number of steps after which an estimation may end, or such a number itself. */
export function endsStretch(made: number, window: number, maxSteps: number): boolean {
  const isFirstOfWindows = (2 * made) % window === 0 || (2 * made + 1) % window === 0;
  return isFirstOfWindows || made === firstCounted(maxSteps) || made === maxSteps;
}
