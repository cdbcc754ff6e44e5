/** Room: report/sweep. What the scheduler of trials decided, rung by rung. Pure. */
import { median } from 'simple-statistics';
import type { Direction, SweepData } from './schema.ts';
import { grouped, sortedBy } from './summary.ts';

/** A rung of training steps that trials are compared at. */
export interface Rung {
  readonly rung: number;
  readonly step: number;
  /** Trials that came so far, and those of them that go on. */
  readonly reached: number;
  readonly promoted: number;
  /** Of those whose metric is a number; undefined where none is. */
  readonly best: number | undefined;
  readonly median: number | undefined;
}

/** A trial's metric at its rungs. */
export interface RungPath {
  readonly trial: string;
  readonly points: readonly { readonly step: number; readonly value: number }[];
  /** Whether it goes on from its last rung, or came to its end. */
  readonly isPromoted: boolean;
}

type Decisions = SweepData['decisions'];

/** By rung, the lowest first. */
export function rungsOf(decisions: Decisions, direction: Direction): Rung[] {
  const rungs = [...grouped(decisions, ({ rung }) => String(rung)).values()].map((own) => {
    const byTrial = new Map(own.map(({ trial, value }) => [trial, value]));
    const values = [...byTrial.values()].filter((value) => value !== null);
    return {
      rung: own[0]!.rung,
      step: own[0]!.step,
      reached: byTrial.size,
      promoted: new Set(own.flatMap(({ promoted }) => promoted)).size,
      best: sortedBy(values, (value) => value, direction)[0],
      median: values.length === 0 ? undefined : median(values),
    };
  });
  return rungs.sort((a, b) => a.rung - b.rung);
}

/** By trial, in order of first appearance. */
export function rungPaths({ decisions, trials }: SweepData): RungPath[] {
  const done = new Set(trials.flatMap(({ id, state }) => (state === 'done' ? id : [])));
  const goes = new Set(
    decisions.flatMap(({ rung, promoted }) => promoted.map((trial) => JSON.stringify([trial, rung]))),
  );
  return [...grouped(decisions, ({ trial }) => trial)].map(([trial, own]) => {
    const ordered = [...own].sort((a, b) => a.rung - b.rung);
    return {
      trial,
      points: ordered.flatMap(({ step, value }) => (value === null ? [] : { step, value })),
      isPromoted: done.has(trial) || goes.has(JSON.stringify([trial, ordered.at(-1)!.rung])),
    };
  });
}
