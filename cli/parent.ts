/** Room: cli. What a command tells the worker that runs it as a trial, and whether there is one; without one, nobody hears. */
import { TRIAL_VARIABLE, type ChildReport } from '../sweep/child.ts';

/** Whether this process was begun as a trial: others have channels of their own, which are none of its business. */
export function isTrial(): boolean {
  return process.env[TRIAL_VARIABLE] !== undefined && process.connected;
}

export function tellParent(report: ChildReport): void {
  if (isTrial()) process.send?.(report);
}
