/** Room: cli. What a command tells the worker that runs it as a trial; without one, nobody. */
import type { ChildReport } from '../sweep/child.ts';

export function tellParent(report: ChildReport): void {
  if (process.connected) process.send?.(report);
}
