/** Room: train/gradient-control. Tasks by name. */
import { option, UserError } from '../../engine/errors.ts';
import { didYouMean } from '../../engine/nearest.ts';

/** @throws UserError for a task that there is not, with the near names */
export function taskNumber(name: string, tasks: readonly string[], setting: string): number {
  const found = tasks.indexOf(name);
  if (found >= 0) return found;
  throw new UserError(
    `${option(setting)}: found "${name}"${didYouMean(name, tasks)}, expected one of the tasks ${tasks.join(', ')}`,
  );
}
