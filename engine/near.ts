/** Room: engine. What a person may have meant: names that differ from a wrong one by a few letters. Pure. */

/** Edits that tell two names apart at most, as a share of the wrong one's letters. */
const SHARE = 0.4;

/** Of the names known, the ones most like `wrong`, the nearest first; none that are unlike it. @param count at most so many */
export function nearNames(wrong: string, known: Iterable<string>, count = 3): string[] {
  const limit = Math.max(1, Math.floor(wrong.length * SHARE));
  const found = [...new Set(known)].map((name) => ({ name, edits: edits(wrong.toLowerCase(), name.toLowerCase()) }));
  const near = found.filter((one) => one.edits <= limit || one.name.includes(wrong));
  return near
    .sort((a, b) => a.edits - b.edits || (a.name < b.name ? -1 : 1))
    .slice(0, count)
    .map(({ name }) => name);
}

/** Letters to insert, delete or replace (Levenshtein). */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
