/** Room: data/tasks. All tasks by their names. Pure functions. */
import { option, UserError } from '../../engine/errors.ts';
import { nearestNames } from '../../engine/nearest.ts';
import { BUILT_IN } from './built-in.ts';
import { COMMONSENSE } from './commonsense.ts';
import { plainName } from './fields.ts';
import { GLUE } from './glue.ts';
import { SQUAD } from './squad.ts';
import { SUPERGLUE } from './superglue.ts';
import type { Task } from './task.ts';

const TASKS: readonly Task[] = [...BUILT_IN, ...GLUE, ...SUPERGLUE, ...SQUAD, ...COMMONSENSE];

/** Names of all tasks: those built in, and the benchmarks' whose files are given. */
export const TASK_NAMES: readonly string[] = TASKS.map(({ name }) => name);

/** Near names shown beside an unknown one. */
const SHOWN = 3;

/** A task by its name, whatever its case and separators. @throws UserError for an unknown name, with near ones */
export function taskNamed(name: string): Task {
  const found = TASKS.find((task) => plainName(task.name) === plainName(name));
  if (found) return found;
  const near = nearTasks(name);
  const expected = near.length > 0 ? `did you mean ${near.join(' or ')}?` : `expected one of ${TASK_NAMES.join(', ')}.`;
  throw new UserError(`${option('task')}: found "${name}", ${expected} For your own data give files`);
}

/** By their whole names, by what stands after the benchmark's, and by how that begins. */
function nearTasks(name: string): readonly string[] {
  const short = (task: string): string => task.slice(task.indexOf('/') + 1);
  const named = nearestNames(name, TASK_NAMES.map(short), SHOWN);
  const byShort = named.flatMap((near) => TASK_NAMES.filter((task) => short(task) === near));
  const begun = TASK_NAMES.filter((task) => plainName(short(task)).startsWith(plainName(name)));
  return [...new Set([...nearestNames(name, TASK_NAMES, SHOWN), ...byShort, ...begun])].slice(0, SHOWN);
}
