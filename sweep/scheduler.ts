/**
 * Room: sweep. Schedulers of trials: weak ones are stopped early. Pure state machines over results in the order in which they come; the log of
 * results makes the same decisions again.
 */
import { median } from 'simple-statistics';
import type { Direction, SchedulerOptions } from '../report/sweep/schema.ts';

/** What a trial has at a rung. */
export interface RungResult {
  readonly trial: string;
  /** From 0. */
  readonly rung: number;
  /** The metric. */
  readonly value: number;
}

export interface Scheduler {
  /** Training steps at a rung, from 0. */
  stepAt(rung: number): number;
  /** Hears a result. @returns trials that go on to their next rung, in the order in which they should */
  report(result: RungResult): string[];
  /** Whether a trial that does not go on may do so later. */
  readonly mayWait: boolean;
  /** Nothing is under way. @returns a result whose trial goes on, so that at least one comes to the end */
  revive(): RungResult | undefined;
}

/** @param direction of the metric */
export function createScheduler(options: SchedulerOptions, direction: Direction): Scheduler {
  const sign = direction === 'maximize' ? 1 : -1;
  return options.name === 'asha' ? new Asha(options, sign) : new MedianStopping(options, sign);
}

/** A result with its value turned so that larger is better, and how it went on. */
interface Entry extends RungResult {
  readonly score: number;
  isPromoted: boolean;
}

/**
 * Asynchronous successive halving (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2): a trial goes on when it
 * is among the best 1/η of those that have reached its rung. Rungs are at r, rη, rη² … training steps.
 */
class Asha implements Scheduler {
  readonly mayWait = true;
  readonly #rungs: Entry[][] = [];
  readonly #minSteps: number;
  readonly #factor: number;
  readonly #sign: number;

  constructor({ minSteps, reductionFactor }: Extract<SchedulerOptions, { name: 'asha' }>, sign: number) {
    this.#minSteps = minSteps;
    this.#factor = reductionFactor;
    this.#sign = sign;
  }

  stepAt(rung: number): number {
    return this.#minSteps * this.#factor ** rung;
  }

  report(result: RungResult): string[] {
    const rung = (this.#rungs[result.rung] ??= []);
    rung.push({ ...result, score: scoreOf(result, this.#sign), isPromoted: false });
    const best = bestFirst(rung).slice(0, Math.floor(rung.length / this.#factor));
    const promoted = best.filter(({ isPromoted }) => !isPromoted);
    for (const entry of promoted) entry.isPromoted = true;
    return promoted.map(({ trial }) => trial);
  }

  revive(): RungResult | undefined {
    const top = this.#rungs.at(-1);
    const best = top && bestFirst(top).find(({ isPromoted }) => !isPromoted);
    if (best) best.isPromoted = true;
    return best;
  }
}

/**
 * The median stopping rule (Golovin et al. 2017, "Google Vizier", 3.2.2): a trial is stopped when its best value so far is below the median of
 * the running means of the others at the same step.
 */
class MedianStopping implements Scheduler {
  readonly mayWait = false;
  readonly #scores = new Map<string, number[]>();
  readonly #every: number;
  readonly #minTrials: number;
  readonly #sign: number;

  constructor({ every, minTrials }: Extract<SchedulerOptions, { name: 'median' }>, sign: number) {
    this.#every = every;
    this.#minTrials = minTrials;
    this.#sign = sign;
  }

  stepAt(rung: number): number {
    return this.#every * (rung + 1);
  }

  report(result: RungResult): string[] {
    const { trial, rung } = result;
    const own = [...(this.#scores.get(trial) ?? []), scoreOf(result, this.#sign)];
    this.#scores.set(trial, own);
    const others = [...this.#scores].filter(([name, scores]) => name !== trial && scores.length > rung);
    if (others.length < this.#minTrials) return [trial];
    const means = others.map(([, scores]) => scores.slice(0, rung + 1).reduce((a, b) => a + b, 0) / (rung + 1));
    return Math.max(...own) >= median(means) ? [trial] : [];
  }

  revive(): undefined {
    return undefined;
  }
}

/** A value that is no number is worse than any. */
function scoreOf({ value }: RungResult, sign: number): number {
  return Number.isNaN(value) ? -Infinity : value * sign;
}

/** Of equal scores the one that came first. */
function bestFirst(rung: readonly Entry[]): Entry[] {
  return [...rung].sort((a, b) => (a.score === b.score ? 0 : b.score - a.score));
}
