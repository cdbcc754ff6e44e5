/** Room: generate. The next token from the scores of the vocabulary: the most likely, or drawn, as transformers does. Pure. */
import type { HostRandom } from '../engine/random.ts';

/** `undefined` leaves a token's choice to the largest score. */
export interface Sampling {
  /** Divides the scores; above 0. */
  readonly temperature: number;
  /** Draws among as many of the largest scores (and those equal to the last of them); 0 = all. */
  readonly topK: number;
  /** Draws among the fewest tokens whose probabilities sum to at least this (Holtzman et al. 2020); 1 = all. */
  readonly topP: number;
}

/** The largest score's token, the first of equal ones. */
export function greedyToken(scores: Float32Array): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i;
  return best;
}

/** Draws a token: temperature, then top-k, then top-p, then one uniform number. */
export function sampleToken(scores: Float32Array, { temperature, topK, topP }: Sampling, random: HostRandom): number {
  const ids = largestFirst(scores, topK);
  const top = scores[ids[0]!] as number;
  const weights = Float64Array.from(ids, (id) => Math.exp((scores[id]! - top) / temperature));
  const kept = nucleus(weights, topP);
  let rest = random.uniform() * kept.reduce((a, b) => a + b, 0);
  for (let i = 0; i < kept.length; i++) {
    rest -= kept[i]!;
    if (rest < 0) return ids[i]!;
  }
  return ids[kept.length - 1]!;
}

/** Token ids by score, the largest first; all of them, or the `k` largest and those equal to the last of these. */
function largestFirst(scores: Float32Array, k: number): Int32Array {
  const all = Int32Array.from(scores, (_, id) => id);
  const byScore = (a: number, b: number): number => scores[b]! - scores[a]! || a - b;
  if (k <= 0 || k >= scores.length) return all.sort(byScore);
  const least = scores.slice().sort()[scores.length - k] as number;
  return all.filter((id) => scores[id]! >= least).sort(byScore);
}

/** The shortest beginning of `weights` that holds a share of at least `topP` of them. */
function nucleus(weights: Float64Array, topP: number): Float64Array {
  const total = weights.reduce((a, b) => a + b, 0);
  let [before, count] = [0, 0];
  while (count < weights.length && (count === 0 || before < topP * total)) before += weights[count++]!;
  return weights.subarray(0, count);
}
