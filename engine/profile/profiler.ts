/**
 * Room: engine/profile. Times the programs of an engine while they do their work: a program's first run warms it up, its
 * next few are timed pass by pass, all others run as ever. Timed runs compute what the others do.
 */
import { option } from '../errors.ts';
import { median } from 'simple-statistics';
import type { Program, RunProfiler } from '../compile/program.ts';
import { scopesOf, shapeOf } from './dispatch-text.ts';
import { requireTimestamps, type Clock } from '../device/pass-timer.ts';

/** Runs of a program that are timed. */
const SAMPLES = 5;

/** One program's kernels, in order. */
export interface ProgramProfile {
  readonly name: string;
  readonly runs: number;
  readonly dispatches: readonly TimedDispatch[];
}

/** One of a program's kernels, timed. */
export interface TimedDispatch {
  readonly name: string;
  /** Sizes as people say them, e.g. `m 2048 n 256 k 1024+8`. */
  readonly shape: string;
  /** Where its ops were recorded; see `namedScope`. */
  readonly scopes: readonly string[];
  readonly workgroups: readonly [number, number, number];
  readonly flops: number;
  readonly bytes: number;
  /** Median over the timed runs. */
  readonly nanoseconds: number;
  /** Bytes of intermediates in use meanwhile. */
  readonly memory: number;
}

interface Record {
  runs: number;
  readonly samples: Promise<number[]>[];
}

/** Give it to `Engine.profiler`. */
export class Profiler implements RunProfiler {
  readonly #programs = new Map<Program, Record>();

  /** @throws UserError where the device has no `timestamp-query` */
  constructor(clock: Clock) {
    requireTimestamps(clock, option('profile'));
  }

  /** Counts a run of `program`. @returns whether it is to be timed, and given to `add` */
  starts(program: Program): boolean {
    const record = this.#programs.get(program) ?? { runs: 0, samples: [] };
    this.#programs.set(program, record);
    record.runs++;
    return record.runs > 1 && record.samples.length < SAMPLES;
  }

  /** Takes a timed run's nanoseconds per dispatch. */
  add(program: Program, nanoseconds: Promise<number[]>): void {
    // Whoever waits for the profile gets the error; the device's loss is also reported to whoever reads a result.
    nanoseconds.catch(() => undefined);
    this.#programs.get(program)!.samples.push(nanoseconds);
  }

  /** What was timed, the program that took the most time first. Programs that ran once are left out. */
  async profiles(): Promise<ProgramProfile[]> {
    const profiles: ProgramProfile[] = [];
    for (const [program, { runs, samples }] of this.#programs) {
      if (samples.length > 0) profiles.push(profileOf(program, runs, await Promise.all(samples)));
    }
    return profiles.sort((a, b) => b.runs * nanosecondsOf(b) - a.runs * nanosecondsOf(a));
  }
}

/** Of one run: the sum of its kernels' times. */
export function nanosecondsOf({ dispatches }: ProgramProfile): number {
  return dispatches.reduce((sum, d) => sum + d.nanoseconds, 0);
}

function profileOf(program: Program, runs: number, samples: readonly (readonly number[])[]): ProgramProfile {
  const dispatches = program.dispatches.map((dispatch, i) => {
    const { name, workgroups, flops, bytes } = dispatch.kernel;
    const nanoseconds = median(samples.map((sample) => sample[i]!));
    const memory = program.memory.timeline[i] ?? 0;
    return {
      name,
      shape: shapeOf(dispatch),
      scopes: scopesOf(dispatch),
      workgroups,
      flops,
      bytes,
      nanoseconds,
      memory,
    };
  });
  return { name: program.name, runs, dispatches };
}
