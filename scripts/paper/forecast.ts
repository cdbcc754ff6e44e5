/**
 * Room: scripts/paper. How long parts of the table will take: as long as the one that is there and most like them; where that is of another task,
 * by steps and the tokens of one. Pure.
 */
import { sum } from 'simple-statistics';
import type { PaperPart } from '../../report/paper/schema.ts';
import { choicesOf, configOf, type Part, type Table } from './table.ts';

/** Parts that are there. */
type Known = readonly PaperPart[];

/** Of tasks: tokens of a step, without padding. */
export type StepTokens = ReadonlyMap<string, number>;

/**
 * Seconds of parts that have not run, one after the other, each with the choice of its learning rate where that is due; those that are
 * not known are absent.
 */
export function forecast(parts: readonly Part[], known: Known, table: Table, tokens: StepTokens): Map<string, number> {
  const done = new Set(known.map(({ name }) => name));
  const seconds = new Map<string, number>();
  for (const part of parts) {
    if (done.has(part.name)) continue;
    const due = part.lr === undefined ? choicesOf(part, table).filter(({ name }) => !done.has(name)) : [];
    const all = [...due, part].map((one) => secondsLike(one, known, table, tokens));
    for (const { name } of [...due, part]) done.add(name);
    if (all.every((one) => one !== undefined)) seconds.set(part.name, sum(all));
  }
  return seconds;
}

/** By the part most like it: of its method before another, then of its task, then of its ratio, then the latest. */
function secondsLike(part: Part, known: Known, table: Table, tokens: StepTokens): number | undefined {
  const { task, peft, method, ratio, lr = 0 } = part;
  const rank = (one: PaperPart): number =>
    (one.peft === peft && one.method === method ? 4 : 0) + (one.task === task ? 2 : 0) + (one.ratio === ratio ? 1 : 0);
  const [nearest] = [...known].sort((a, b) => rank(b) - rank(a) || b.date.localeCompare(a.date));
  if (!nearest) return undefined;
  const steps = stepsOf(configOf(part, table, lr, {})) / stepsOf(nearest.config);
  if (nearest.task === task) return secondsOf(nearest) * steps;
  const own = tokens.get(task);
  const { trainTokensPerSecond, secondsPerStep } = nearest.metrics;
  if (own === undefined || trainTokensPerSecond === undefined || secondsPerStep === undefined) return undefined;
  return (secondsOf(nearest) * steps * own) / (trainTokensPerSecond * secondsPerStep);
}

/** Of estimation and fine-tuning. */
function stepsOf(config: PaperPart['config']): number {
  return Number(config['estimate-steps']) + Number(config.steps);
}

function secondsOf({ metrics }: PaperPart): number {
  return (metrics.estimateSeconds ?? 0) + (metrics.trainSeconds ?? 0);
}
