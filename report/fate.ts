/** Room: report. What became of a PEFT module: it stayed, was dropped by its importance, or lost all its ranks to the cut of ranks. */
import type { Plan } from './schema.ts';

type Module = Plan['modules'][number];

export type Fate = 'kept' | 'dropped' | 'all ranks cut';

/**
 * The fate of each of a plan's modules. Comparisons of earlier versions do not say why a module went: there, one of more importance than
 * a kept one can only have lost its ranks.
 */
export function fates(modules: Plan['modules']): Map<Module, Fate> {
  const least = Math.min(...modules.filter((m) => m.kept).map((m) => m.importance));
  const lostRanks = ({ lostBy, importance, ranks }: Module): boolean =>
    lostBy === undefined ? ranks.length > 0 && importance > least : lostBy === 'ranks';
  return new Map(modules.map((m) => [m, m.kept ? 'kept' : lostRanks(m) ? 'all ranks cut' : 'dropped']));
}
