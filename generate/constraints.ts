/** Room: generate. What changes the scores of the vocabulary before a token is chosen from them, as transformers does. Pure. */

export interface Constraints {
  /** Above 1 makes tokens that the text has, the prompt's included, less likely (Keskar et al. 2019); 1 changes nothing. */
  readonly repetitionPenalty: number;
  /** New tokens before which no end token may come. */
  readonly minNewTokens: number;
}

export const UNCONSTRAINED: Constraints = { repetitionPenalty: 1, minNewTokens: 0 };

/**
 * The scores to choose from; the given ones are left as they are.
 * @param seen tokens of the text so far
 * @param count how many of them are new
 */
export function constrained(
  scores: Float32Array,
  { repetitionPenalty: penalty, minNewTokens }: Constraints,
  seen: ReadonlySet<number>,
  count: number,
  endIds: ReadonlySet<number>,
): Float32Array {
  const mayEnd = count >= minNewTokens;
  if (penalty === 1 && mayEnd) return scores;
  const changed = scores.slice();
  if (penalty !== 1) {
    for (const id of seen) {
      const score = scores[id]!;
      changed[id] = score < 0 ? score * penalty : score / penalty;
    }
  }
  if (!mayEnd) for (const id of endIds) if (id < changed.length) changed[id] = -Infinity;
  return changed;
}
