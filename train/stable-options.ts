/** Room: train. When `estimateUntil: 'stable'` ends the estimation: options of their own, that must fit each other. */
import { option, UserError } from '../engine/errors.ts';

/** Four distances below 0.1, those of five masks, are what early-bird tickets wait for (You et al. 2020). */
export const STABLE_DEFAULTS = { window: 4, threshold: 0.1, queue: 4 } as const;

const ONLY_STABLE = ['estimateWindow', 'estimateThreshold', 'estimateQueue', 'estimateMinSteps'] as const;

/** Options as they are given. */
export interface UntilOptions {
  readonly estimateUntil?: 'fixed' | 'stable' | undefined;
  readonly estimateWindow?: number | undefined;
  readonly estimateThreshold?: number | undefined;
  readonly estimateQueue?: number | undefined;
  readonly estimateMinSteps?: number | undefined;
}

/** When kept sets count as stable. */
export interface StableOptions {
  /** Steps of a window. */
  readonly window: number;
  /** Mask distances below it agree. */
  readonly threshold: number;
  /** So many distances in a row. */
  readonly queue: number;
  /** The estimation has at least, and at most, so many steps. */
  readonly minSteps: number;
  readonly maxSteps: number;
}

/**
 * @param steps the most
 * @param name of the option that says so
 * @returns undefined for an estimation of a fixed number of steps
 * @throws UserError for options that do not fit each other
 */
export function stableOptions(given: UntilOptions, steps: number, name = 'steps'): StableOptions | undefined {
  if (given.estimateUntil !== 'stable') {
    const odd = ONLY_STABLE.find((key) => given[key] !== undefined);
    if (odd !== undefined)
      throw new UserError(`${option(odd)}: found ${option('estimateUntil')} fixed, expected stable`);
    return undefined;
  }
  const { window, threshold, queue } = STABLE_DEFAULTS;
  const options = {
    window: given.estimateWindow ?? window,
    threshold: given.estimateThreshold ?? threshold,
    queue: given.estimateQueue ?? queue,
    minSteps: given.estimateMinSteps ?? 1,
    maxSteps: steps,
  };
  assertFits(options, name);
  return options;
}

function assertFits({ window, queue, minSteps, maxSteps }: StableOptions, name: string): void {
  const most = `at most the ${maxSteps} of ${option(name)}`;
  if (minSteps > maxSteps)
    throw new UserError(`${option('estimateMinSteps')}: found ${minSteps} steps, expected ${most}`);
  if (window > maxSteps) throw new UserError(`${option('estimateWindow')}: found ${window} steps, expected ${most}`);
  const needed = (queue + 1) * window;
  if (needed > maxSteps)
    throw new UserError(
      `${option(name)}: found ${maxSteps}, expected at least ${needed}: ${queue + 1} windows of ${window} steps; ` +
        `lower ${option('estimateWindow')} or ${option('estimateQueue')}`,
    );
}
