/**
 * Room: data. Parts of data that stay the same: a share for choosing among runs, by a hash of each item, and a drawn number of items. Pure
 * but for reading the sources.
 */
import { createHash } from 'node:crypto';
import { hostRandom, STREAM } from '../engine/random.ts';
import { mapped, type Share, type Source } from './record-source.ts';

/**
 * A source in two: items whose hash falls into a share, and the others. The same content is always on the same side, whatever else the data
 * holds and wherever it lies.
 * @param share of the items that are set apart, between 0 and 1
 * @param contentOf an item: the columns that make it another one
 */
export function setApart<T>(
  source: Source<T>,
  share: number,
  contentOf: (item: T) => object,
): { readonly rest: Source<T>; readonly selection: Source<T> } {
  const isApart = (item: T): boolean => hashShare(contentOf(item)) < share;
  return {
    rest: mapped(source, (item) => (isApart(item) ? [] : [item])),
    selection: mapped(source, (item) => (isApart(item) ? [item] : [])),
  };
}

/** Where the hash of a content lies between 0 and 1, whatever the order of its columns. */
function hashShare(content: object): number {
  const columns = Object.entries(content).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(columns)).digest().readUInt32BE(0) / 2 ** 32;
}

/**
 * As many items as asked for, drawn without replacement and in their order; all where there are no more. Holds the drawn items while it
 * reads (reservoir sampling: Vitter 1985, algorithm R).
 * @param groupOf an item: neighbours of the same group are drawn as one
 */
export function drawn<T>(source: Source<T>, count: number, seed: number, groupOf?: (item: T) => string): Source<T> {
  let share: Share | undefined;
  return {
    path: source.path,
    share: () => share,
    read: async function* (onBytes) {
      const random = hostRandom(seed, STREAM.subset);
      const kept: { place: number; items: T[] }[] = [];
      let [place, total] = [0, 0];
      let last: { readonly group: string | undefined; readonly items: T[] } | undefined;
      for await (const items of source.read(onBytes)) {
        total += items.length;
        for (const item of items) {
          const group = groupOf?.(item);
          if (groupOf && last?.group === group) {
            last!.items.push(item);
            continue;
          }
          last = { group, items: [item] };
          const slot = place < count ? place : random.below(place + 1);
          if (slot < count) kept[slot] = { place, items: last.items };
          place++;
        }
      }
      const items = kept.sort((a, b) => a.place - b.place).flatMap(({ items }) => items);
      share = { count: items.length, total };
      yield items;
    },
  };
}
