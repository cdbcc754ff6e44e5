/** Room: data/metrics. Figures of rows that belong together: MultiRC's answers to a question, ReCoRD's entities. Pure functions. */
import { meanOf, ratio } from './classes.ts';

/** The rows of each group, groups in order of first appearance. */
function rowsOf(groups: readonly string[]): number[][] {
  const rows = new Map<string, number[]>();
  groups.forEach((group, row) => {
    const known = rows.get(group);
    if (known) known.push(row);
    else rows.set(group, [row]);
  });
  return [...rows.values()];
}

/**
 * Share of the groups of which every row is right: MultiRC's exact match.
 * @param groups of every row, e.g. its paragraph and question
 */
export function exactMatchOfGroups(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  groups: readonly string[],
): number {
  return meanOf(rowsOf(groups).map((rows) => Number(rows.every((row) => labels[row] === predictions[row]))));
}

/** Share of the groups whose rows are all predicted alike: AX-g's gender parity (Rudinger et al. 2018), of pairs. */
export function parityOfGroups(predictions: ArrayLike<number>, groups: readonly string[]): number {
  return meanOf(rowsOf(groups).map((rows) => Number(rows.every((row) => predictions[row] === predictions[rows[0]!]))));
}

/**
 * F1 of the means over groups of precision and recall of class 1: MultiRC's F1m (Khashabi et al. 2018). A group where nothing is
 * predicted has precision 1, one where nothing is true recall 1.
 */
export function f1OfGroups(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  groups: readonly string[],
): number {
  const scores = rowsOf(groups).map((rows) => {
    const actual = rows.filter((row) => labels[row] === 1);
    const predicted = rows.filter((row) => predictions[row] === 1);
    const hits = actual.filter((row) => predictions[row] === 1).length;
    return {
      precision: predicted.length > 0 ? hits / predicted.length : 1,
      recall: actual.length > 0 ? hits / actual.length : 1,
    };
  });
  const [p, r] = [meanOf(scores.map(({ precision }) => precision)), meanOf(scores.map(({ recall }) => recall))];
  return ratio(2 * p * r, p + r);
}

/**
 * The row of highest score of each group, the first of equal ones: ReCoRD's choice of an entity for a query.
 * @param scores of every row
 * @returns a row for each group, in order of first appearance
 */
export function bestOfGroups(scores: ArrayLike<number>, groups: readonly string[]): number[] {
  return rowsOf(groups).map((rows) => rows.reduce((best, row) => (scores[row]! > scores[best]! ? row : best)));
}
