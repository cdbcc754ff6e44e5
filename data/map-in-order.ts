/** Room: data. Work on many rows, some at a time. */

/** Enough to keep all threads of the tokenizer busy, few enough to hold. */
const AT_ONCE = 64;

/** What `work` makes of each item, in order. @throws the first item's error of those that fail */
export async function mapInOrder<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let first = 0; first < items.length; first += AT_ONCE) {
    for (const result of await Promise.allSettled(items.slice(first, first + AT_ONCE).map(work))) {
      if (result.status === 'rejected') throw result.reason;
      results.push(result.value);
    }
  }
  return results;
}
