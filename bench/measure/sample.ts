/** Room: bench/measure. Timing fairly: candidates are interleaved, warm-up is left out, and a figure is a median with its spread. */
import { quantile } from 'simple-statistics';

/** Seconds of one run, over several repetitions. */
export interface Sample {
  readonly median: number;
  /** Half the range from the first to the third quartile, as a part of the median. */
  readonly spread: number;
  readonly repeats: number;
}

/** @param values at least one */
export function summarise(values: readonly number[]): Sample {
  const [q1, median, q3] = quantile([...values], [0.25, 0.5, 0.75]) as [number, number, number];
  return { median, spread: median === 0 ? 0 : (q3 - q1) / 2 / Math.abs(median), repeats: values.length };
}

/** The same sample in other units, e.g. seconds → GFLOP/s by `work / seconds`. */
export function rate(work: number, { median, ...rest }: Sample): Sample {
  return { ...rest, median: work / median };
}

/** Something to be timed against others. */
export interface Candidate {
  readonly name: string;
  /** Runs `runs` times and waits for the last. @returns seconds of all of them */
  time(runs: number): Promise<number>;
}

export interface TimingOptions {
  /** Timings of each candidate, each of at least `minSeconds`. */
  readonly repeats: number;
  readonly minSeconds: number;
  /** Slow candidates are timed less often, so that all together take about this long; but `FEWEST` times. */
  readonly maxSeconds: number;
}

/** A quartile of fewer timings says little. */
const FEWEST = 5;

/** A candidate that cannot go on; the others can. */
export class CandidateError extends Error {}

/**
 * Times candidates interleaved; who begins changes every round. Each is run first without counting, twice: the second run says
 * how many make a timing of `minSeconds`.
 * @returns by name; one that threw a `CandidateError` is left out
 */
export async function interleave(
  candidates: readonly Candidate[],
  { repeats, minSeconds, maxSeconds }: TimingOptions,
): Promise<Map<string, Sample>> {
  const failed = new Set<Candidate>();
  const time = async (candidate: Candidate, runs: number): Promise<number> => {
    try {
      return await candidate.time(runs);
    } catch (error) {
      if (!(error instanceof CandidateError)) throw error;
      failed.add(candidate);
      return 0;
    }
  };
  const runs = new Map<Candidate, number>();
  let round = 0;
  for (const candidate of candidates) {
    await time(candidate, 1);
    const once = failed.has(candidate) ? 0 : await time(candidate, 1);
    const count = Math.min(10_000, Math.max(1, Math.ceil(minSeconds / Math.max(once, 1e-6))));
    runs.set(candidate, count);
    round += count * once;
  }
  const rounds = Math.min(repeats, Math.max(FEWEST, Math.floor(maxSeconds / Math.max(round, 1e-6))));
  const seconds = new Map(candidates.map((c) => [c, [] as number[]]));
  for (let turn = 0; turn < rounds; turn++) {
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[(i + turn) % candidates.length]!;
      if (failed.has(candidate)) continue;
      const count = runs.get(candidate)!;
      seconds.get(candidate)!.push((await time(candidate, count)) / count);
    }
  }
  const whole = [...seconds].filter(([candidate]) => !failed.has(candidate));
  return new Map(whole.map(([{ name }, values]) => [name, summarise(values)]));
}
