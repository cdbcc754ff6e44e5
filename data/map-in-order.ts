/** Room: data. Work on many rows, some at a time. */

/** Enough to keep all threads of the tokenizer busy, few enough to hold. */
const AT_ONCE = 64;

/** What `work` makes of each item, in order, while items come. @throws the first item's error of those that fail */
export async function* inOrder<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const running: Promise<PromiseSettledResult<R>>[] = [];
  const settled = async (): Promise<R> => {
    const result = await running.shift()!;
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  };
  for await (const item of items) {
    running.push(settle(work(item)));
    if (running.length === AT_ONCE) yield await settled();
  }
  while (running.length > 0) yield await settled();
}

/** What `work` makes of each item, in order. @throws the first item's error of those that fail */
export async function mapInOrder<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for await (const result of inOrder(items, work)) results.push(result);
  return results;
}

async function settle<R>(promise: Promise<R>): Promise<PromiseSettledResult<R>> {
  const [result] = await Promise.allSettled([promise]);
  return result;
}
