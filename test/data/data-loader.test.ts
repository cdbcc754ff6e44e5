/** Protects: batches hold every example once an epoch, padded but unchanged, and are the same when a run is resumed. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataLoader, type BatchOptions, type Order } from '../../data/data-loader.ts';
import { IGNORE_INDEX, type EncodedExample } from '../../data/encoded-example.ts';

const PAD = 99;

/** An example of a length, recognisable by its number. */
function example(length: number, number: number): EncodedExample {
  const mask = new Int32Array(length).fill(1);
  return { ids: new Int32Array(length).fill(number), mask, typeIds: mask.map((_, i) => i % 2), label: number % 3 };
}

function options(order: Order, more: Partial<BatchOptions> = {}): BatchOptions {
  return { batchSize: 4, order, seed: 7, padId: PAD, maxLength: 40, ...more };
}

const EXAMPLES = fc
  .array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 60 })
  .map((lengths) => lengths.map(example));
const ORDERS: Order[] = ['file', 'shuffle', 'bucket', 'length'];

describe('Batches', () => {
  it('holds every example once an epoch, intact, in rows of one shape', () => {
    fc.assert(
      fc.property(
        EXAMPLES,
        fc.constantFrom(...ORDERS),
        fc.integer({ min: 1, max: 9 }),
        (examples, order, batchSize) => {
          const batches = new DataLoader(examples, options(order, { batchSize }));
          const seen: number[] = [];
          for (const batch of batches.epoch(3)) {
            expect(batch.batch).toBe(batchSize);
            expect(batch.inputIds).toHaveLength(batchSize * batch.seq);
            expect(batch.count).toBe(batch.indices.length);
            expect(batch.seq % 8 === 0 && batch.seq <= 40).toBe(true);
            for (let row = 0; row < batchSize; row++) {
              const slice = (array: Int32Array): number[] => [...array.slice(row * batch.seq, (row + 1) * batch.seq)];
              const index = batch.indices[row];
              const { ids, mask, typeIds, label } = index === undefined ? FILLING : examples[index]!;
              const padding = new Array<number>(batch.seq - ids.length);
              expect(slice(batch.inputIds)).toEqual([...ids, ...padding.fill(PAD)]);
              expect(slice(batch.attentionMask)).toEqual([...mask, ...padding.fill(0)]);
              expect(slice(batch.tokenTypeIds)).toEqual([...typeIds, ...padding]);
              expect(batch.labels[row]).toBe(label);
              if (index !== undefined) seen.push(index);
            }
          }
          expect(seen.sort((a, b) => a - b)).toEqual(examples.map((_, i) => i));
        },
      ),
    );
  });

  const many = Array.from({ length: 203 }, (_, i) => example(1 + ((i * 7) % 40), i));

  it('gives the same batch for the same place, whatever was read before', () => {
    for (const order of ORDERS) {
      const first = new DataLoader(many, options(order));
      const run = [...first.epoch(0), ...first.epoch(1)].slice(40);
      const resumed = new DataLoader(many, options(order));
      const rest = [...resumed.epoch(0, 40), ...resumed.epoch(1)];
      expect(rest).toEqual(run);
    }
  });

  it('keeps file order, one batch after the other, in every epoch', () => {
    const batches = new DataLoader(many, options('file'));
    const order = [...batches.epoch(0), ...batches.epoch(1)].flatMap(({ indices }) => [...indices]);
    expect(order).toEqual([...many.keys(), ...many.keys()]);
  });

  it('shuffles anew for each epoch and seed', () => {
    for (const order of ['shuffle', 'bucket'] as const) {
      const read = (seed: number, epoch: number): string =>
        [...new DataLoader(many, options(order, { seed })).epoch(epoch)].map(({ indices }) => indices.join()).join();
      expect(new Set([read(1, 0), read(1, 1), read(2, 0), read(2, 1)]).size).toBe(4);
    }
  });

  it('pads less with buckets than without, least when sorted; the ragged batch stays last', () => {
    const tokens = (order: Order): number =>
      [...new DataLoader(many, options(order)).epoch(0)].reduce((sum, { seq, batch }) => sum + seq * batch, 0);
    expect(tokens('bucket')).toBeLessThan(0.8 * tokens('shuffle'));
    expect(tokens('length')).toBeLessThanOrEqual(tokens('bucket'));
    const counts = [...new DataLoader(many, options('bucket')).epoch(0)].map(({ count }) => count);
    expect(counts.at(-1)).toBe(3);
    expect(counts.slice(0, -1).every((count) => count === 4)).toBe(true);
  });

  it('sorts mega-batches of the size asked for, drawn anew each epoch, the longest example first', () => {
    const batches = (epoch: number, megaBatchMult?: number): number[][] =>
      [...new DataLoader(many, options('bucket', { megaBatchMult })).epoch(epoch)].map(({ indices }) => [...indices]);
    const lengthOf = (i: number): number => many[i]!.ids.length;
    const spread = (epoch: readonly number[][]): number =>
      epoch.slice(0, -1).reduce((sum, batch) => sum + lengthOf(batch[0]!) - lengthOf(batch.at(-1)!), 0);
    expect(spread(batches(0, 1))).toBeGreaterThan(spread(batches(0, 4)));
    expect(spread(batches(0, 4))).toBeGreaterThan(spread(batches(0, 50)));
    // Which examples meet in a batch is not the same in the next epoch, unless the order is by length alone.
    const met = (mult: number): number => {
      const before = new Set(batches(0, mult).map((batch) => batch.toSorted().join()));
      return batches(1, mult).filter((batch) => before.has(batch.toSorted().join())).length;
    };
    expect(met(4)).toBe(0);
    for (const mult of [1, 4, 50]) {
      for (const epoch of [0, 1]) {
        expect(Math.max(...batches(epoch, mult)[0]!.map(lengthOf))).toBe(40);
        expect(
          batches(epoch, mult)
            .flat()
            .toSorted((a, b) => a - b),
        ).toEqual([...many.keys()]);
      }
    }
  });

  it('has the order of earlier versions where no size of mega-batches is asked for', () => {
    const read = [...new DataLoader(many, options('bucket')).epoch(0)].map(({ indices }) => [...indices]);
    expect(read.slice(0, 3)).toEqual(BEFORE);
  });

  it('pads to the length asked for and never beyond the limit', () => {
    const seq = (length: number, more: Partial<BatchOptions>): number =>
      new DataLoader([example(length, 0)], options('file', more)).at(0, 0).seq;
    expect(seq(9, {})).toBe(16);
    expect(seq(9, { multipleOf: 1 })).toBe(9);
    expect(seq(35, { maxLength: 36 })).toBe(36);
    expect(seq(9, { fixedLength: true })).toBe(40);
  });

  it('refuses what it cannot batch', () => {
    expect(() => new DataLoader([], options('file'))).toThrow('no examples');
    expect(() => new DataLoader([example(41, 0)], options('file'))).toThrow('41 tokens is over maxLength');
    expect(() => new DataLoader([example(4, 0)], options('file')).at(0, 1)).toThrow(RangeError);
  });
});

/** The first batches of an epoch, as they were before mega-batches could be chosen. */
const BEFORE = [
  [149, 189, 12, 92],
  [0, 80, 120, 160],
  [56, 176, 39, 119],
];

/** A row beyond the last example. */
const FILLING: EncodedExample = {
  ids: Int32Array.of(PAD),
  mask: Int32Array.of(0),
  typeIds: Int32Array.of(0),
  label: IGNORE_INDEX,
};
