/** Room: pruning. Several scores as one: the mean of an entry's ranks, so that no score's size outweighs another's. Pure. */
import { mean } from 'simple-statistics';

/** `layerwise`: each row of scores is a group of its own; `global`: all rows are one group. */
export type Scope = 'layerwise' | 'global';

type Rows = readonly (readonly number[])[];

/**
 * Mean over `scores` of each entry's rank in its group, from 0 for the lowest to 1: Borda's count. Equal entries have the mean of their ranks.
 * @param scores of equal shapes
 * @param scope whether a row is a group of its own
 */
export function meanRanks(scores: readonly Rows[], scope: Scope): number[][] {
  const ranked = scores.map((rows) => (scope === 'global' ? overAll(rows) : rows.map((row) => ranks(row))));
  return ranked[0]!.map((row, r) => row.map((_, i) => mean(ranked.map((rows) => rows[r]![i]!))));
}

function overAll(rows: Rows): number[][] {
  const all = ranks(rows.flat());
  let at = 0;
  return rows.map((row) => all.slice(at, (at += row.length)));
}

function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const found = new Array<number>(values.length);
  const last = Math.max(1, values.length - 1);
  for (let from = 0; from < order.length;) {
    let to = from;
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let i = from; i < to; i++) found[order[i]!] = (from + to - 1) / 2 / last;
    from = to;
  }
  return found;
}
