/** Room: bench. What a suite is: a file that describes its cases; everything around it is shared. */
import { z } from 'zod';
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../engine/errors.ts';
import type { OptionChanges } from './encoder/model.ts';
import type { Candidate, Sample, TimingOptions } from './measure/sample.ts';
import { interleave } from './measure/sample.ts';
import { assertClose } from './measure/closeness.ts';
import type { PeerName, Peers, PeerWork } from './peers/peer.ts';
import { sampleSchema, type Measured } from './report/document.ts';

/** What a suite is given. */
export interface BenchContext {
  /** Another one after a part that failed: take it within each part. */
  readonly engine: Engine;
  readonly peers: Peers;
  readonly quick: boolean;
  readonly timing: TimingOptions;
  /** Options of `--set`, to be laid over a suite's own. */
  readonly changes: OptionChanges;
  /** An empty folder that is removed at the end. */
  readonly folder: string;
  /**
   * Measures a part of the suite: what it gives is kept on disk at once, and a run that goes on takes it from there.
   * @param schema of what is measured, which must survive JSON
   * @returns undefined where it failed, which the document then says
   */
  part<T>(name: string, schema: z.ZodType<T>, run: () => Promise<T>): Promise<T | undefined>;
}

export interface Suite {
  readonly name: string;
  /** One line for `--help`. */
  readonly summary: string;
  /** Peers that it can be measured beside. */
  readonly peers: readonly PeerName[];
  measure(context: BenchContext): Promise<Measured>;
}

/** Name of the engine among candidates. */
export const OWN = 'light-peft';

/** The engine as a candidate. @param run enqueues one run */
export function ownCandidate(engine: Engine, run: () => void, name = OWN): Candidate {
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

export const comparisonSchema = z.object({
  /** By candidate: `OWN` or a peer's name. */
  samples: z.record(z.string(), sampleSchema),
  /** Why a peer did not take part. */
  absent: z.array(z.string()),
});

export type Comparison = z.infer<typeof comparisonSchema>;

/**
 * The engine against every peer that can do the work: results are compared before anybody is timed. A peer that computes something
 * else is named and left out.
 * @param expected what the engine computed, by the peers' output names
 * @throws UserError where no peer computes the same
 */
export async function compareWithPeers(
  context: BenchContext,
  own: Candidate,
  work: PeerWork,
  expected: Readonly<Record<string, ArrayLike<number>>>,
  tolerance: number,
): Promise<Comparison> {
  const candidates = [own];
  const absent: string[] = [];
  const differing: UserError[] = [];
  for (const peer of context.peers.present) {
    const outputs = await peer.prepare(work);
    if (!(outputs instanceof Map)) {
      absent.push(`${work.name}: not beside ${peer.label}: ${outputs.reason}`);
      continue;
    }
    try {
      for (const [name, values] of Object.entries(expected))
        assertClose(`${peer.label}, ${work.name}, ${name}`, outputs.get(name) ?? [], values, tolerance);
      candidates.push(peer.candidate);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      differing.push(error);
    }
  }
  if (candidates.length === 1 && differing[0]) throw differing[0];
  absent.push(...differing.map(({ message }) => message));
  const samples = await interleave(candidates, context.timing);
  for (const { name, label, failure } of context.peers.present)
    if (failure !== undefined && candidates.some((c) => c.name === name))
      absent.push(`${work.name}: not beside ${label}: ${failure}`);
  return { samples: Object.fromEntries(samples), absent };
}

/** Columns for the peers of a context: time, and how many times the engine's time that is. */
export function peerColumns({ peers }: BenchContext): Measured['tables'][number]['columns'] {
  return peers.present.flatMap(({ name, label }) => [
    { key: name, title: label, unit: 'time' as const },
    { key: `${name} ratio`, title: '× ours', unit: 'ratio' as const },
  ]);
}

/** The cells of `peerColumns`. */
export function peerCells({ samples }: Comparison): Record<string, Sample | number> {
  const { [OWN]: own, ...others } = samples;
  return Object.fromEntries(
    Object.entries(others).flatMap(([name, sample]): [string, Sample | number][] => [
      [name, sample],
      [`${name} ratio`, sample.median / own!.median],
    ]),
  );
}

/** How many times as long a peer takes; null where it did not take part. */
export function ratioTo({ samples }: Comparison, peer: PeerName): number | null {
  const theirs = samples[peer];
  return theirs ? theirs.median / samples[OWN]!.median : null;
}
