/** Room: bench/measure. Timing fairly: contenders take turns, warm-up is left out, and a figure is a median with its spread. */
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
export interface Contender {
  readonly name: string;
  /** Runs `runs` times and waits for the last. @returns seconds of all of them */
  time(runs: number): Promise<number>;
}

export interface TimingOptions {
  /** Timings of each contender, each of at least `minSeconds`. */
  readonly repeats: number;
  readonly minSeconds: number;
}

/**
 * Times contenders by turns; who begins changes every round. Each is run first without counting, twice: the second run says
 * how many make a timing of `minSeconds`.
 */
export async function alternate(
  contenders: readonly Contender[],
  { repeats, minSeconds }: TimingOptions,
): Promise<Map<string, Sample>> {
  const runs = new Map<Contender, number>();
  for (const contender of contenders) {
    await contender.time(1);
    const once = await contender.time(1);
    runs.set(contender, Math.min(10_000, Math.max(1, Math.ceil(minSeconds / Math.max(once, 1e-6)))));
  }
  const seconds = new Map(contenders.map((c) => [c.name, [] as number[]]));
  for (let round = 0; round < repeats; round++) {
    for (let i = 0; i < contenders.length; i++) {
      const contender = contenders[(i + round) % contenders.length]!;
      const count = runs.get(contender)!;
      seconds.get(contender.name)!.push((await contender.time(count)) / count);
    }
  }
  return new Map([...seconds].map(([name, values]) => [name, summarise(values)]));
}
