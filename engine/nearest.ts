/** Room: engine. A name that was mistyped, and the one that was probably meant. */

/** Part of the longer name's characters that may differ. */
const TOLERANCE = 0.4;

/** The known names most like `given`, whatever their case and separators, the nearest first; none that are unlike it. */
export function nearestNames(given: string, known: Iterable<string>, count: number): string[] {
  const plain = (name: string): string => name.toLowerCase().replace(/[-_. ]/g, '');
  const found = [...new Set(known)].map((name) => {
    const [a, b] = [plain(given), plain(name)];
    return { name, part: distance(a, b) / Math.max(a.length, b.length, 1) };
  });
  const near = found.filter(({ part }) => part <= TOLERANCE).sort((a, b) => a.part - b.part);
  return near.slice(0, count).map(({ name }) => name);
}

/** The nearest of them. */
export function nearest(given: string, known: Iterable<string>): string | undefined {
  return nearestNames(given, known, 1)[0];
}

/** `, did you mean NAME?`, or nothing. @param shown how the name is written there */
export function didYouMean(given: string, known: Iterable<string>, shown = (name: string) => `"${name}"`): string {
  const name = nearest(given, known);
  return name === undefined ? '' : `, did you mean ${shown(name)}?`;
}

/** Insertions, deletions, replacements and swaps of neighbours that make `b` of `a`. */
function distance(a: string, b: string): number {
  let [before, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + Number(a[i - 1] !== b[j - 1]);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? before[j - 2]! + 1 : Infinity;
      row.push(Math.min(replaced, swapped, last[j]! + 1, row[j - 1]! + 1));
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}
