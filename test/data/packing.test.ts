/** Protects: packed rows hold every example once, whole and apart from its neighbours, few rows, the same for a seed; what has no place in them is refused. */
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataLoader } from '../../data/data-loader.ts';
import { IGNORE_INDEX, type EncodedExample } from '../../data/encoded-example.ts';
import { splitBatch, labelsOfRows } from '../../data/micro-batches.ts';
import { arePacked, assertPackable, packExamples, withPacking } from '../../data/packing.ts';
import { loadData } from '../../data/source.ts';
import { UserError } from '../../engine/errors.ts';
import { positionIds } from '../../models/positions.ts';
import type { ModelConfig } from '../../models/architecture.ts';
import { loadModel } from '../../models/checkpoint.ts';

const FAMILIES = join(import.meta.dirname, '..', 'goldens', 'families');

/** An example of a length whose tokens tell its number and their places. */
function example(length: number, number: number): EncodedExample {
  const ids = Int32Array.from({ length }, (_, t) => 1000 * (number + 1) + t);
  return {
    ids,
    mask: new Int32Array(length).fill(1),
    typeIds: new Int32Array(length),
    tokenLabels: ids.map((id, t) => (t % 3 === 1 ? IGNORE_INDEX : id)),
    label: IGNORE_INDEX,
  };
}

const LENGTHS = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 80 });

describe('Packing', () => {
  it('puts every example whole into one row, as a segment of its own, its first token never a label', () => {
    fc.assert(
      fc.property(LENGTHS, fc.integer({ min: 30, max: 70 }), fc.nat(5), (lengths, maxLength, seed) => {
        const examples = lengths.map(example);
        const seen: number[] = [];
        for (const { ids, mask, segmentIds, tokenLabels } of packExamples(examples, { maxLength, seed })) {
          expect(ids.length).toBeLessThanOrEqual(maxLength);
          expect(mask.every((value) => value === 1)).toBe(true);
          let at = 0;
          for (let segment = 1; at < ids.length; segment++) {
            const number = Math.floor(ids[at]! / 1000) - 1;
            const whole = examples[number]!;
            const end = at + whole.ids.length;
            expect(ids.slice(at, end)).toEqual(whole.ids);
            expect(segmentIds!.slice(at, end).every((id) => id === segment)).toBe(true);
            expect([...tokenLabels!.slice(at, end)]).toEqual([IGNORE_INDEX, ...whole.tokenLabels!.slice(1)]);
            seen.push(number);
            at = end;
          }
        }
        expect(seen.sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
      }),
    );
  });

  it('is best-fit decreasing: rows as full as they can be, no two of them could be one', () => {
    const rows = (lengths: number[], maxLength: number): number[][] =>
      Array.from(packExamples(lengths.map(example), { maxLength }), ({ segmentIds }) => {
        const counts: number[] = [];
        for (const id of segmentIds!) counts[id - 1] = (counts[id - 1] ?? 0) + 1;
        return counts;
      });
    expect(rows([3, 7, 5, 6, 4, 5], 10)).toEqual([
      [7, 3],
      [6, 4],
      [5, 5],
    ]);
    // 2 goes where it leaves no room, not to the first row that has some.
    expect(rows([2, 6, 8], 10)).toEqual([[8, 2], [6]]);
    fc.assert(
      fc.property(LENGTHS, (lengths) => {
        const sums = rows(lengths, 40).map((row) => row.reduce((a, b) => a + b, 0));
        const [least = 0, next = Infinity] = sums.sort((a, b) => a - b);
        expect(least + next).toBeGreaterThan(40);
      }),
    );
  });

  const many = Array.from({ length: 90 }, (_, i) => example(1 + ((i * 7) % 23), i));

  it('is the same for a seed, and of like lengths others share a row with another', () => {
    const ids = (seed: number): number[][] =>
      Array.from(packExamples(many, { maxLength: 32, seed }), (row) => [...row.ids]);
    expect(ids(1)).toEqual(ids(1));
    expect(ids(1)).not.toEqual(ids(2));
    expect(ids(1)).toHaveLength(ids(2).length);
  });

  it('makes batches by place, with segments in parts too, positions anew for each example', () => {
    const packed = packExamples(many, { maxLength: 32 });
    expect([arePacked(packed), arePacked(many)]).toEqual([true, false]);
    const options = { batchSize: 4, order: 'bucket', seed: 3, padId: 9, maxLength: 32 } as const;
    const batch = new DataLoader(packed, options).at(1, 2);
    expect(new DataLoader(packed, options).at(1, 2)).toEqual(batch);
    const { segmentIds, attentionMask, seq, inputIds, labels } = batch;
    expect(attentionMask).toEqual(segmentIds!.map((id) => Number(id > 0)));
    for (const [i, label] of labels.entries()) {
      // A label is the token after, of the same example.
      if (label === IGNORE_INDEX) continue;
      expect([inputIds[i + 1], segmentIds![i + 1]]).toEqual([label, segmentIds![i]]);
    }
    const places = { positions: { count: 'places', first: 0 } };
    const positions = positionIds({ architecture: places, padTokenId: 9 } as unknown as ModelConfig, batch);
    for (const [i, position] of positions.entries()) {
      if (attentionMask[i] === 1) expect(position).toBe(inputIds[i]! % 1000);
    }
    const parts = splitBatch(batch, 3, (values, from) => labelsOfRows(values, from, 3, 4));
    expect(parts.map((part) => [...part.segmentIds!])).toEqual([
      [...segmentIds!.slice(0, 3 * seq)],
      [...segmentIds!.slice(3 * seq), ...new Array<number>(2 * seq).fill(0)],
    ]);
    expect('segmentIds' in new DataLoader(many, options).at(0, 0)).toBe(false);
  });

  it('leaves out padding at the end, and nothing where no packing is asked for', () => {
    const [first, second] = [example(4, 0), example(3, 1)];
    const pad = (values: Int32Array, with_: number): Int32Array => Int32Array.of(...values, with_, with_);
    const padded = {
      ...first,
      ids: pad(first.ids, 9),
      mask: pad(first.mask, 0),
      typeIds: pad(first.typeIds, 0),
      tokenLabels: pad(first.tokenLabels!, IGNORE_INDEX),
    };
    const row = packExamples([padded, second], { maxLength: 7 }).at(0)!;
    expect([...row.ids]).toEqual([...first.ids, ...second.ids]);
    const data = { train: [second] };
    expect(withPacking(data, {}, 7)).toBe(data);
    expect(arePacked(withPacking(data, { packing: true }, 7).train)).toBe(true);
    expect(withPacking({ train: [] }, { packing: true }, 7).train).toHaveLength(0);
  });

  it('packs the training data that is loaded, not what is evaluated, and refuses other heads by name', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'packing-'));
    const file = (name: string, rows: readonly object[]): string => {
      const path = join(dir, name);
      writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
      return path;
    };
    const tokens = [7, 3, 5].map((length) => ({ input_ids: Array.from({ length }, (_, i) => 3 + i) }));
    const checkpoint = await loadModel(join(FAMILIES, 'llama-lm', 'model'));
    const path = file('tokens.jsonl', tokens);
    const data = await loadData(
      checkpoint,
      { train: path, eval: path },
      { taskType: 'CAUSAL_LM', packing: true, maxLength: 10 },
    );
    expect(Array.from(data.train, ({ ids }) => ids.length)).toEqual([10, 5]);
    expect(data.rows.train).toBe(3);
    expect([data.eval.length, arePacked(data.eval)]).toEqual([3, false]);
    const labelled = file('labels.jsonl', [{ input_ids: [3, 4], attention_mask: [1, 1], label: 0 }]);
    await expect(loadData(checkpoint, { train: labelled }, { packing: true })).rejects.toThrow(
      '`packing`: is for causal language models; an example for a head for classification needs a row of its own',
    );
    await rm(dir, { recursive: true });
  });

  it('refuses in one line what it cannot pack', () => {
    const refusal = (changed: Partial<EncodedExample>, maxLength = 8): (() => unknown) => {
      return () => packExamples([example(2, 0), { ...example(5, 1), ...changed }], { maxLength });
    };
    expect(refusal({}, 4)).toThrow(/example 2 has 5 tokens, expected at most 4/);
    expect(refusal({ mask: Int32Array.of(1, 0, 1, 1, 1) })).toThrow(/example 2 has padding before or between/);
    expect(refusal({ mask: Int32Array.of(1, 1, 1, 0, 0) })).toThrow(/example 2 has padding with labels/);
    const { tokenLabels: _, ...others } = example(3, 0);
    expect(() => packExamples([others], { maxLength: 8 })).toThrow(UserError);
    for (const head of ['classification', 'multiple-choice', 'question-answering', 'masked-lm'] as const)
      expect(() => assertPackable(head, { packing: true })).toThrow(`a head for ${head} needs a row of its own`);
    assertPackable('classification', {});
    assertPackable('causal-lm', { packing: true });
  });
});
