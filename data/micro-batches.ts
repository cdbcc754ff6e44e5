/** Room: data. A batch as several smaller ones, for devices that cannot take it whole. Pure. */
import type { Batch } from './data-loader.ts';
import { IGNORE_INDEX, NO_VALUE } from './encoded-example.ts';

/** Rows of an example: one, or one a choice. */
export function rowsPerExample({ count, indices }: Batch): number {
  return count / indices.length;
}

/**
 * The rows of a batch, so many at a time; the last part is filled up with padding that counts nowhere.
 * @param rows a multiple of `rowsPerExample`
 * @param labelsOf the labels of the rows from one on
 */
export function splitBatch(
  batch: Batch,
  rows: number,
  labelsOf: (labels: Batch['labels'], from: number) => Batch['labels'],
): Batch[] {
  const { seq, count, indices, labels } = batch;
  const each = rowsPerExample(batch);
  const grid = (values: Int32Array, from: number): Int32Array =>
    padded(values.subarray(from * seq, (from + rows) * seq), rows * seq, 0);
  return Array.from({ length: Math.ceil(batch.batch / rows) }, (_, part) => {
    const from = part * rows;
    return {
      batch: rows,
      seq,
      count: Math.max(0, Math.min(rows, count - from)),
      indices: indices.subarray(from / each, (from + rows) / each),
      inputIds: grid(batch.inputIds, from),
      attentionMask: grid(batch.attentionMask, from),
      tokenTypeIds: grid(batch.tokenTypeIds, from),
      ...(batch.segmentIds && { segmentIds: grid(batch.segmentIds, from) }),
      labels: labelsOf(labels, from),
    };
  });
}

/**
 * Labels that lie row by row: part of them, filled up with such as the loss ignores.
 * @param of rows that they are of
 */
export function labelsOfRows(labels: Batch['labels'], from: number, rows: number, of: number): Batch['labels'] {
  const at = (row: number): number => (row * labels.length) / of;
  const [start, end] = [at(from), at(from + rows)];
  if (labels instanceof Int32Array) return padded(labels.subarray(start, end), at(rows), IGNORE_INDEX);
  return padded(labels.subarray(start, end), at(rows), NO_VALUE);
}

/** `values`, filled up to a length. */
function padded<T extends Int32Array | Float32Array>(values: T, length: number, filling: number): T {
  if (values.length === length) return values;
  const whole = new (values.constructor as new (length: number) => T)(length);
  whole.fill(filling);
  whole.set(values);
  return whole;
}
