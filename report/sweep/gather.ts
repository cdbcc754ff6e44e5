/** Room: report/sweep. One comparison of the trials of a sweep: of methods with several seeds, on one task or some. */
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { readJson } from '../../engine/io/files.ts';
import { parseComparison, type Comparison } from '../schema.ts';
import { readSweep } from './write.ts';

/**
 * Puts the comparisons of trials together, each of one method and one seed, in the order of the sweep.
 * @param command that a reader types to get the same
 * @throws UserError where a trial is not done, or two are of the same task, method and seed
 */
export async function gatherComparison(dir: string, ids: readonly string[], command: string): Promise<Comparison> {
  const { trials } = await readSweep(dir);
  const parts: Comparison[] = [];
  for (const id of ids) {
    const trial = trials.find((one) => one.id === id);
    if (trial?.state !== 'done') throw new UserError(`${dir}: trial ${id} is ${trial?.error ?? 'not done'}`);
    const path = join(dir, 'trials', id, 'comparison.json');
    parts.push(parseComparison(await readJson(path, z.unknown()), path));
  }
  const [first] = parts as [Comparison];
  const tasks = new Map(parts.flatMap((part) => part.tasks.map((task) => [task.name, task])));
  const runs = parts.flatMap((part) => part.runs);
  const meta = { ...first.meta, date: new Date().toISOString(), command };
  return parseComparison({ ...first, meta, tasks: [...tasks.values()], runs }, dir);
}
