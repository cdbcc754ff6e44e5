/** Protects: the parts of a batch are its rows, labels of every layout go with them, and filling counts nowhere. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DataLoader, type Batch } from '../../data/data-loader.ts';
import { IGNORE_INDEX, NO_VALUE, sequencesOf, type EncodedExample } from '../../data/encoded-example.ts';
import { rowsPerExample, splitBatch } from '../../data/micro-batches.ts';
import { objectiveOf, type Objective } from '../../data/objective.ts';
import type { HeadKind } from '../../models/architecture.ts';

/** An example for each kind of labels. */
const KINDS: readonly [HeadKind, number, (i: number) => Partial<EncodedExample>][] = [
  ['classification', 3, (i) => ({ label: i % 3 === 0 ? IGNORE_INDEX : i % 3 })],
  ['classification', 2, (i) => ({ values: Float32Array.of(i % 2, i % 3 ? NO_VALUE : 1) })],
  ['classification', 1, (i) => ({ values: Float32Array.of(i / 2) })],
  ['multiple-choice', 0, (i) => ({ label: i % 3, otherChoices: [sequence(i + 1), sequence(2)] })],
  ['multiple-choice', 0, (i) => ({ label: i % 2, otherChoices: [1, 2, 3].slice(i % 3).map((n) => sequence(i + n)) })],
  ['question-answering', 0, (i) => ({ span: [i % 2, 1 + (i % 3)] })],
  ['causal-lm', 0, (i) => ({ tokenLabels: sequence(i).ids.map((id) => (id % 2 ? id : IGNORE_INDEX)) })],
];

function sequence(i: number): Pick<EncodedExample, 'ids' | 'mask' | 'typeIds'> {
  const ids = Int32Array.from({ length: 4 + (i % 5) }, (_, t) => 10 * i + t);
  return { ids, mask: ids.map(() => 1), typeIds: ids.map((_, t) => t % 2) };
}

/** Labels of one row, or of one example of several rows, as the objective reads them. */
function labelOf(objective: Objective, { labels, batch }: Batch, row: number, rows: number): number[] {
  return [...objective.part(labels, row, rows, batch)];
}

it.each(KINDS)('%s, %i labels', (head, count, labelled) => {
  const names = Array.from({ length: count }, (_, i) => String(i));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 }), fc.nat(6), (size, units, from) => {
      const examples = Array.from({ length: size }, (_, i) => {
        return { ...sequence(from + i), label: IGNORE_INDEX, ...labelled(from + i) };
      });
      const objective = objectiveOf({ head, labels: names }, examples);
      const options = { batchSize: 7, order: 'file', seed: 0, padId: 1, maxLength: 16 } as const;
      const batch = new DataLoader(examples, options).at(0, 0);
      const unit = rowsPerExample(batch);
      expect(unit).toBe(Math.max(...examples.map((e) => sequencesOf(e).length)));
      const rows = units * unit;
      const parts = splitBatch(batch, rows, (labels, at) => objective.part(labels, at, rows, batch.batch));
      const sum = (of: (part: Batch) => number): number => parts.map(of).reduce((a, b) => a + b, 0);
      expect(sum(({ count: real }) => real)).toBe(batch.count);
      if (head !== 'question-answering') {
        const isLabelled = objective.share(batch.labels, batch.labels) === 1;
        expect(sum(({ labels }) => objective.share(labels, batch.labels))).toBeCloseTo(Number(isLabelled), 12);
      }
      expect(parts.flatMap(({ indices }) => [...indices])).toEqual([...batch.indices]);
      parts.forEach((part, p) => {
        expect(part.labels.length).toBe(objective.labels(rows, part.seq).shape.reduce((a, b) => a * b, 1));
        expect(part.batch).toBe(rows);
        for (let row = 0; row < rows; row += unit) {
          const at = p * rows + row;
          const range = [row * part.seq, (row + unit) * part.seq] as const;
          if (at >= batch.batch) {
            expect([...part.attentionMask.subarray(...range)].every((seen) => seen === 0)).toBe(true);
            continue;
          }
          const whole = [at * batch.seq, (at + unit) * batch.seq] as const;
          for (const key of ['inputIds', 'attentionMask', 'tokenTypeIds'] as const)
            expect(part[key].subarray(...range)).toEqual(batch[key].subarray(...whole));
          expect(labelOf(objective, part, row, unit)).toEqual(labelOf(objective, batch, at, unit));
        }
      });
    }),
    { numRuns: 60 },
  );
});
