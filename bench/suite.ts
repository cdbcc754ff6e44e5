/** Room: bench. What a suite is: a file that describes its cases; everything around it is shared. */
import type { Engine } from '../engine/engine.ts';
import type { Settings } from '../train/settings.ts';
import type { Contender, Sample, TimingOptions } from './measure/sample.ts';
import { alternate } from './measure/sample.ts';
import { assertClose } from './measure/closeness.ts';
import type { PeerName, Peers, PeerWork } from './peers/peer.ts';
import type { Measured } from './report/document.ts';

/** What a suite is given. */
export interface BenchContext {
  readonly engine: Engine;
  readonly peers: Peers;
  readonly quick: boolean;
  readonly timing: TimingOptions;
  /** Settings of `--set`, to be laid over a suite's own. */
  readonly settings: Partial<Settings>;
  /** An empty folder that is removed at the end. */
  readonly folder: string;
  /** Says what is being done. */
  stage(title: string): void;
}

export interface Suite {
  readonly name: string;
  /** One line for `--help`. */
  readonly summary: string;
  /** Peers that it can be measured beside. */
  readonly peers: readonly PeerName[];
  measure(context: BenchContext): Promise<Measured>;
}

/** Name of the engine among contenders. */
export const OWN = 'light-peft';

/** The engine as a contender. @param run enqueues one run */
export function ownContender(engine: Engine, run: () => void, name = OWN): Contender {
  return {
    name,
    async time(runs) {
      const started = performance.now();
      for (let i = 0; i < runs; i++) run();
      await engine.finish();
      return (performance.now() - started) / 1000;
    },
  };
}

export interface Race {
  /** By contender: `OWN` or a peer's name. */
  readonly samples: ReadonlyMap<string, Sample>;
  /** Why a peer did not take part. */
  readonly absent: readonly string[];
}

/**
 * The engine against every peer that can do the work: results are compared before anybody is timed.
 * @param expected what the engine computed, by the peers' output names
 * @throws UserError where a peer computes something else
 */
export async function race(
  context: BenchContext,
  own: Contender,
  work: PeerWork,
  expected: Readonly<Record<string, ArrayLike<number>>>,
  tolerance: number,
): Promise<Race> {
  const contenders = [own];
  const absent: string[] = [];
  for (const peer of context.peers.present) {
    const outputs = await peer.prepare(work);
    if (!(outputs instanceof Map)) {
      absent.push(`Not beside ${peer.label}: ${outputs.unsupported}`);
      continue;
    }
    for (const [name, values] of Object.entries(expected))
      assertClose(`${peer.label}, ${work.name}, ${name}`, outputs.get(name) ?? [], values, tolerance);
    contenders.push(peer.contender);
  }
  return { samples: await alternate(contenders, context.timing), absent };
}

/** Columns for the peers of a context: time, and how many times the engine's time that is. */
export function peerColumns({ peers }: BenchContext): Measured['tables'][number]['columns'] {
  return peers.present.flatMap(({ name, label }) => [
    { key: name, title: label, unit: 'time' as const },
    { key: `${name} ratio`, title: '× ours', unit: 'ratio' as const },
  ]);
}

/** The cells of `peerColumns`. */
export function peerCells({ samples }: Race): Record<string, Sample | number> {
  const own = samples.get(OWN)!;
  const others = [...samples].filter(([name]) => name !== OWN);
  return Object.fromEntries(
    others.flatMap(([name, sample]): [string, Sample | number][] => [
      [name, sample],
      [`${name} ratio`, sample.median / own.median],
    ]),
  );
}

/** How many times as long a peer takes; null where it did not take part. */
export function ratioTo({ samples }: Race, peer: PeerName): number | null {
  const theirs = samples.get(peer);
  return theirs ? theirs.median / samples.get(OWN)!.median : null;
}
