/** Room: train. Options of the steps that exclude each other. Pure. */
import { option, UserError } from '../engine/errors.ts';
import type { ScheduleName } from '../engine/optim/schedule.ts';
import { assertControlFits } from './gradient-control/options.ts';
import type { StepOptions } from './options.ts';

/** Options of one schedule, and those that read them. */
const OF_SCHEDULES: readonly ['numCycles' | 'power' | 'lrEnd', readonly ScheduleName[]][] = [
  ['numCycles', ['cosine', 'cosine_with_restarts']],
  ['power', ['polynomial']],
  ['lrEnd', ['polynomial']],
];

/** @throws UserError naming two options that exclude each other */
export function assertCompatible(options: StepOptions): void {
  const { schedule, warmupSteps, warmupRatio, freezeHead, headLr, lr, lrEnd } = options;
  const { shuffle, groupByLength, megaBatchMult } = options;
  if (warmupSteps !== undefined && warmupRatio > 0)
    throw new UserError(`${option('warmupSteps')} and ${option('warmupRatio')}: give one of them`);
  if (freezeHead && headLr !== undefined)
    throw new UserError(`${option('freezeHead')} and ${option('headLr')}: give one of them`);
  if (megaBatchMult !== undefined && !(shuffle && groupByLength))
    throw new UserError(`${option('megaBatchMult')}: needs ${option('shuffle')} and ${option('groupByLength')}`);
  for (const [name, schedules] of OF_SCHEDULES) {
    if (options[name] === undefined || schedules.includes(schedule)) continue;
    throw new UserError(`${option(name)}: found ${option('schedule')} ${schedule}, expected ${schedules.join(' or ')}`);
  }
  assertControlFits(options);
  if (lrEnd !== undefined && lrEnd >= lr)
    throw new UserError(`${option('lrEnd')}: found ${lrEnd}, expected less than ${option('lr')}, ${lr}`);
}

/** @throws UserError where the warm-up is longer than a run */
export function assertWarmupFits(warmupSteps: number | undefined, steps: number): void {
  if (warmupSteps === undefined || warmupSteps <= steps) return;
  const expected = `expected at most ${steps}, the steps of the run`;
  throw new UserError(`${option('warmupSteps')}: found ${warmupSteps}, ${expected}`);
}
