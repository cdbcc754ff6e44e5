/**
 * Room: pruning. Whether the kept sets of an estimation have settled (docs/method.md §4): the mask distance of early-bird tickets (You et al.
 * 2020, "Drawing Early-Bird Tickets"; for heads and neurons of BERT, Chen et al. 2021, "EarlyBERT"). Pure functions, and a queue.
 */
import { z } from 'zod';
import type { Decision, ImportanceScores } from './decide.ts';

/** What is pruned. */
const PARTS = ['heads', 'neurons', 'modules', 'ranks'] as const;

type Part = (typeof PARTS)[number];

/** Of every part there was, whether it stays: `1` or `0`, in the order of the model. */
const keptSetsSchema = z.record(z.enum(PARTS), z.string().regex(/^[01]*$/));

export type KeptSets = z.infer<typeof keptSetsSchema>;

const fraction = z.number().min(0).max(1);

export const distancesSchema = z.strictObject({
  /** Steps made at the end of the window. */
  step: z.int().positive(),
  /** Normalised Hamming distance to the kept set at the end of the window before. */
  heads: fraction,
  neurons: fraction,
  modules: fraction,
  ranks: fraction,
});

/** Mask distances of successive windows. */
export type MaskDistances = z.infer<typeof distancesSchema>;

/** What a decision keeps, beside what there was. */
export function keptSets({ layers, modules }: Decision, scores: ImportanceScores): KeptSets {
  const rows = (all: readonly (readonly number[])[], kept: (row: number) => readonly number[]): string =>
    all.map((row, i) => marks(row.length, kept(i))).join('');
  const names = Object.keys(scores.modules);
  return {
    heads: rows(scores.heads, (layer) => layers[layer]!.heads),
    neurons: rows(scores.neurons, (layer) => layers[layer]!.neurons),
    modules: names.map((name) => (name in modules ? '1' : '0')).join(''),
    ranks: rows(
      names.map((name) => scores.ranks[name] ?? []),
      (module) => modules[names[module]!]?.kept ?? [],
    ),
  };
}

function marks(size: number, kept: readonly number[]): string {
  const is = new Set(kept);
  return Array.from({ length: size }, (_, i) => (is.has(i) ? '1' : '0')).join('');
}

/** Part of the places in which two sets differ, in [0, 1]; 0 where there are none. */
export function maskDistance(a: string, b: string): number {
  if (a.length !== b.length) throw new Error(`sets of ${a.length} and of ${b.length} have no distance`);
  let differing = 0;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) differing++;
  return a.length === 0 ? 0 : differing / a.length;
}

/** The part that differs most. */
export function largestDistance(distances: MaskDistances): { readonly part: Part; readonly distance: number } {
  const [first, ...others] = PARTS.map((part) => ({ part, distance: distances[part] }));
  return others.reduce((most, next) => (next.distance > most.distance ? next : most), first!);
}

export const stabilityStateSchema = z.strictObject({
  before: keptSetsSchema.optional(),
  distances: z.array(distancesSchema),
});

/** What a checkpoint holds of a `Stability`. */
export type StabilityState = z.infer<typeof stabilityStateSchema>;

/** Successive kept sets, and how far they lie apart. */
export class Stability {
  readonly #threshold: number;
  readonly #queue: number;
  #state: StabilityState = { distances: [] };

  /** @param threshold in (0, 1) @param queue latest distances that must all lie below it */
  constructor(threshold: number, queue: number) {
    this.#threshold = threshold;
    this.#queue = queue;
  }

  /** @param step steps made at the end of the window */
  add(step: number, kept: KeptSets): void {
    const { before, distances } = this.#state;
    const between = (part: Part): number => maskDistance(before![part], kept[part]);
    const next = before && {
      step,
      heads: between('heads'),
      neurons: between('neurons'),
      modules: between('modules'),
      ranks: between('ranks'),
    };
    this.#state = { before: kept, distances: next ? [...distances, next] : distances };
  }

  /** Whether all of the latest distances are below the threshold, for every part. */
  get isReached(): boolean {
    const latest = this.distances.slice(-this.#queue);
    return latest.length === this.#queue && latest.every((d) => largestDistance(d).distance < this.#threshold);
  }

  get distances(): readonly MaskDistances[] {
    return this.#state.distances;
  }

  get state(): StabilityState {
    return this.#state;
  }

  set state(state: StabilityState) {
    this.#state = state;
  }
}
