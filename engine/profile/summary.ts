/** Room: engine/profile. A program's dispatches summed by kernel and shape, and set against the adapter's rates. */
import { nanosecondsOf, type ProgramProfile, type TimedDispatch } from './profiler.ts';
import type { Rates } from './rates.ts';

export interface KernelRow {
  readonly name: string;
  readonly shape: string;
  readonly calls: number;
  readonly seconds: number;
  /** Part of the program's time. */
  readonly share: number;
  readonly flopsPerSecond: number;
  readonly bytesPerSecond: number;
  /** Time over the least that arithmetic or memory allow at the measured rates. */
  readonly overFloor: number;
}

/** A row per kernel and shape, the longest first. */
export function summarise(profile: ProgramProfile, rates: Rates): KernelRow[] {
  const { dispatches } = profile;
  const total = nanosecondsOf(profile) / 1e9;
  const groups = new Map<string, TimedDispatch[]>();
  for (const dispatch of dispatches) {
    const key = `${dispatch.name} ${dispatch.shape}`;
    groups.set(key, [...(groups.get(key) ?? []), dispatch]);
  }
  const rows = [...groups.values()].map((group) => {
    const sum = (value: (d: TimedDispatch) => number): number => group.reduce((s, d) => s + value(d), 0);
    const seconds = sum((d) => d.nanoseconds) / 1e9;
    const floor = sum((d) => Math.max(d.flops / rates.flops, d.bytes / rates.bytes));
    return {
      name: group[0]!.name,
      shape: group[0]!.shape,
      calls: group.length,
      seconds,
      share: seconds / total,
      flopsPerSecond: sum((d) => d.flops) / seconds,
      bytesPerSecond: sum((d) => d.bytes) / seconds,
      overFloor: seconds / floor,
    };
  });
  return rows.sort((a, b) => b.seconds - a.seconds);
}
