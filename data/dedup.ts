/**
 * Room: data. Near-duplicates by word shingles. Two texts are near-duplicates where the Jaccard similarity of their sets
 * of word trigrams is at least `NEAR_DUPLICATE`. Exact, not sketched: candidates come from prefix filtering (Chaudhuri et
 * al. 2006; Bayardo et al. 2007), which misses no pair. Pure functions of strings.
 */

/** Jaccard similarity of trigram sets from which two texts count as the same. */
const NEAR_DUPLICATE = 0.5;

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

/**
 * Indices of the texts that stay when, in order, each text that is a near-duplicate of one already kept is dropped.
 * Texts without a word are dropped too. No two texts that stay are near-duplicates.
 */
export function withoutNearDuplicates(texts: readonly string[], threshold: number = NEAR_DUPLICATE): number[] {
  const sets = rankByRarity(texts.map(shingles));
  const index = new Map<number, number[]>();
  const kept: number[] = [];
  sets.forEach((set, i) => {
    if (set.length === 0) return;
    // Two sets with Jaccard ≥ t share one of the (1 − t)·n + 1 rarest elements of each.
    const prefix = set.subarray(0, set.length - Math.ceil(threshold * set.length) + 1);
    const candidates = new Set<number>();
    for (const rank of prefix) for (const j of index.get(rank) ?? []) candidates.add(j);
    for (const j of candidates) if (jaccard(set, sets[j]!) >= threshold) return;
    kept.push(i);
    for (const rank of prefix) {
      const owners = index.get(rank);
      if (owners) owners.push(i);
      else index.set(rank, [i]);
    }
  });
  return kept;
}

/** |a ∩ b| / |a ∪ b| of two sets as ascending integers; 0 where both are empty. */
function jaccard(a: Int32Array, b: Int32Array): number {
  let common = 0;
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const difference = a[i]! - b[j]!;
    if (difference === 0) common++;
    if (difference <= 0) i++;
    if (difference >= 0) j++;
  }
  const union = a.length + b.length - common;
  return union === 0 ? 0 : common / union;
}

/** Each set as ascending integers that number all shingles from the rarest to the most frequent. */
function rankByRarity(sets: readonly ReadonlySet<string>[]): Int32Array[] {
  const ids = new Map<string, number>();
  const frequency: number[] = [];
  const numbered = sets.map((set) =>
    Int32Array.from(set, (item) => {
      const id = ids.get(item) ?? ids.size;
      if (id === ids.size) ids.set(item, id);
      frequency[id] = (frequency[id] ?? 0) + 1;
      return id;
    }),
  );
  const order = Int32Array.from(frequency.keys()).sort((a, b) => (frequency[a] ?? 0) - (frequency[b] ?? 0) || a - b);
  const rank = new Int32Array(order.length);
  order.forEach((id, i) => (rank[id] = i));
  return numbered.map((set) => set.map((id) => rank[id]!).sort());
}

/** Word numbers stay below 2¹⁷, so that a trigram of them is one exact number. */
const MAX_WORDS = 2 ** 17;

/** Finds documents that repeat one of `texts`, whole or quoted inside; a text of a few words counts only as a whole. */
export class OverlapDetector {
  /** Texts too short for a trigram. */
  readonly #short = new Set<string>();
  /** The words of all longer texts, numbered from 1. */
  readonly #numbers = new Map<string, number>();
  /** Distinctive trigrams and the texts that hold them. */
  readonly #owners = new Map<number, number[]>();
  /** Number of distinctive trigrams of each text. */
  readonly #sizes: number[];

  constructor(texts: readonly string[]) {
    this.#sizes = texts.map(() => 0);
    texts.forEach((text, i) => {
      const list = words(text);
      if (list.length < 3) this.#short.add(list.join(' '));
      for (const word of list) if (!this.#numbers.has(word)) this.#numbers.set(word, this.#numbers.size + 1);
      for (const trigram of this.#trigrams(list)) {
        const owners = this.#owners.get(trigram);
        if (owners) owners.push(i);
        else this.#owners.set(trigram, [i]);
      }
    });
    if (this.#numbers.size >= MAX_WORDS) throw new RangeError(`more than ${MAX_WORDS} different words`);
    for (const [trigram, owners] of this.#owners) {
      if (owners.length > MAX_OWNERS) this.#owners.delete(trigram);
      else for (const i of owners) this.#sizes[i] = (this.#sizes[i] ?? 0) + 1;
    }
  }

  overlaps(document: string): boolean {
    const list = words(document);
    if (list.length < 3) return this.#short.has(list.join(' '));
    const common = new Map<number, number>();
    for (const trigram of this.#trigrams(list)) {
      for (const i of this.#owners.get(trigram) ?? []) common.set(i, (common.get(i) ?? 0) + 1);
    }
    for (const [i, count] of common) {
      const size = this.#sizes[i] ?? 0;
      if (count < REPEATED * size) continue;
      if (size >= MIN_DISTINCTIVE || count >= NEAR_DUPLICATE * (size + shingles(document).size - count)) return true;
    }
    return false;
  }

  /** The trigrams made of known words, each once. */
  #trigrams(list: readonly string[]): Set<number> {
    const trigrams = new Set<number>();
    let [before, last] = [0, 0];
    for (const word of list) {
      const number = this.#numbers.get(word) ?? 0;
      if (before > 0 && last > 0 && number > 0) trigrams.add((before * MAX_WORDS + last) * MAX_WORDS + number);
      [before, last] = [last, number];
    }
    return trigrams;
  }
}
