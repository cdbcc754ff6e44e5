/** Room: data. Work on many rows, some at a time. */

/** Enough to keep all threads of the tokenizer busy, few enough to hold. */
const AT_ONCE = 512;

/** What `work` makes of each item, in order, while items come. @throws the first item's error of those that fail */
export async function* inOrder<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  work: (item: T) => R | Promise<R>,
): AsyncGenerator<R> {
  const running: Promise<R>[] = [];
  for await (const item of items) {
    const result = running.length === 0 ? work(item) : workAsync(work, item);
    // What is there at once, with nothing before it, is passed on.
    if (!(result instanceof Promise)) {
      yield result;
      continue;
    }
    // A failure is told when its turn comes.
    result.catch(() => undefined);
    if (running.push(result) === AT_ONCE) yield await running.shift()!;
  }
  while (running.length > 0) yield await running.shift()!;
}

async function workAsync<T, R>(work: (item: T) => R | Promise<R>, item: T): Promise<R> {
  return work(item);
}

/** What `work` makes of each item, in order. @throws the first item's error of those that fail */
export async function mapInOrder<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  work: (item: T) => R | Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for await (const result of inOrder(items, work)) results.push(result);
  return results;
}
