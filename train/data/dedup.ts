/**
 * Room: train. Near-duplicates by word shingles. Two texts are near-duplicates where the Jaccard similarity of their sets
 * of word trigrams is at least `NEAR_DUPLICATE`. Exact, not sketched: candidates come from prefix filtering (Chaudhuri et
 * al. 2006; Bayardo et al. 2007), which misses no pair. Pure functions of strings.
 */

/** Jaccard similarity of trigram sets from which two texts count as the same. */
export const NEAR_DUPLICATE = 0.5;

/** A document repeats a text where it holds at least this share of the text's distinctive trigrams … */
const REPEATED = 0.5;

/** … if there are at least this many: shorter phrases occur everywhere by chance. */
const MIN_DISTINCTIVE = 6;

/** A trigram found in more of the texts than this is boilerplate (signatures, list footers), not distinctive. */
const MAX_OWNERS = 5;

/** Lower-case words (letters and digits, every digit as 0, so that prices, dates and counters do not tell copies apart). */
export function words(text: string): string[] {
  return (
    text
      .toLowerCase()
      .replace(/\p{N}/gu, '0')
      .match(/[\p{L}\p{N}]+/gu) ?? []
  );
}

/** The set of word trigrams; of a shorter text its words as one shingle, so that it equals only itself. */
export function shingles(text: string): Set<string> {
  const list = words(text);
  if (list.length === 0) return new Set();
  if (list.length < 3) return new Set([list.join(' ')]);
  return new Set(list.slice(2).map((word, i) => `${list[i]} ${list[i + 1]} ${word}`));
}

/** |a ∩ b| / |a ∪ b|; 0 where both are empty. */
export function jaccard<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): number {
  const [small, large] = a.size < b.size ? [a, b] : [b, a];
  let common = 0;
  for (const item of small) if (large.has(item)) common++;
  const union = a.size + b.size - common;
  return union === 0 ? 0 : common / union;
}

/**
 * Indices of the texts that stay when, in order, each text that is a near-duplicate of one already kept is dropped.
 * Texts without a word are dropped too. No two texts that stay are near-duplicates.
 */
export function withoutNearDuplicates(texts: readonly string[], threshold: number = NEAR_DUPLICATE): number[] {
  const sets = rankByRarity(texts.map(shingles));
  const index = new Map<number, number[]>();
  const kept: number[] = [];
  sets.forEach((ranks, i) => {
    if (ranks.length === 0) return;
    // Two sets with Jaccard ≥ t share one of the (1 − t)·n + 1 rarest elements of each.
    const prefix = ranks.slice(0, ranks.length - Math.ceil(threshold * ranks.length) + 1);
    const candidates = new Set(prefix.flatMap((rank) => index.get(rank) ?? []));
    const own = new Set(ranks);
    for (const j of candidates) if (jaccard(own, new Set(sets[j])) >= threshold) return;
    kept.push(i);
    for (const rank of prefix) index.set(rank, [...(index.get(rank) ?? []), i]);
  });
  return kept;
}

/** Each set as ascending integers that number all shingles from the rarest to the most frequent. */
function rankByRarity(sets: readonly ReadonlySet<string>[]): number[][] {
  const frequency = new Map<string, number>();
  for (const set of sets) for (const item of set) frequency.set(item, (frequency.get(item) ?? 0) + 1);
  const order = [...frequency].sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1));
  const rank = new Map(order.map(([item], i) => [item, i]));
  return sets.map((set) => [...set].map((item) => rank.get(item) ?? 0).sort((a, b) => a - b));
}

/** Finds documents that repeat one of `texts`, whole or quoted inside; a text of a few words counts only as a whole. */
export class OverlapDetector {
  /** Number of distinctive shingles of each text. */
  readonly #sizes: number[];
  readonly #owners = new Map<string, number[]>();

  constructor(texts: readonly string[]) {
    texts.forEach((text, i) => {
      for (const item of shingles(text)) {
        const owners = this.#owners.get(item);
        if (owners) owners.push(i);
        else this.#owners.set(item, [i]);
      }
    });
    this.#sizes = texts.map(() => 0);
    for (const [item, owners] of this.#owners) {
      if (owners.length > MAX_OWNERS) this.#owners.delete(item);
      else for (const i of owners) this.#sizes[i] = (this.#sizes[i] ?? 0) + 1;
    }
  }

  overlaps(document: string): boolean {
    const set = shingles(document);
    const common = new Map<number, number>();
    for (const item of set) for (const i of this.#owners.get(item) ?? []) common.set(i, (common.get(i) ?? 0) + 1);
    for (const [i, count] of common) {
      const size = this.#sizes[i] ?? 0;
      if (count >= REPEATED * size && size >= MIN_DISTINCTIVE) return true;
      if (count >= NEAR_DUPLICATE * (size + set.size - count)) return true;
    }
    return false;
  }
}
