/** Protects: Parquet as pyarrow and Hugging Face's `datasets` write it is read, whatever its compression, and damaged files are refused. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, describe, expect, it } from 'vitest';
import { readFeatures, readRecords } from '../../../data/records.ts';
import { UserError } from '../../../engine/errors.ts';
import { DataFiles, pythonJson, recordsOf } from './files.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures/parquet');
const files = new DataFiles();
afterAll(() => files.remove());

/** What make.py beside the fixtures writes. */
const COLUMNS: Record<string, readonly [unknown, unknown, unknown]> = {
  text: ['ä', '', null],
  large: ['same', 'same', null],
  dictionary: ['x', 'y', 'x'],
  int64: [2 ** 40, -1, null],
  uint64: [2 ** 53 - 1, 0, null],
  double: [0.5, -1e300, null],
  bool: [true, false, null],
  decimal: [1.25, -3.5, null],
  date: ['2024-02-29', '1969-12-31', null],
  time: ['2024-02-29T12:00:01.500Z', '1960-01-01T00:00:00.000Z', null],
  ids: [[1, 2], [], null],
  choices: [[[1], [2, 3]], [[]], null],
  answers: [{ text: ['u', 'v'], answer_start: [3, 9] }, { text: [], answer_start: [] }, null],
  messages: [[{ role: 'user', content: 'hi' }], [], null],
};
const RECORDS = [0, 1, 2].map((row) => ({
  line: row + 1,
  fields: Object.fromEntries(Object.entries(COLUMNS).map(([name, values]) => [name, values[row]])),
}));

describe('files of pyarrow', () => {
  it.each(['none', 'snappy', 'gzip', 'brotli', 'zstd', 'lz4'])('compressed by %s', async (codec) => {
    expect(await recordsOf(join(FIXTURES, `columns-${codec}.parquet`))).toEqual(RECORDS);
  });

  it('with pages of version 2 and several row groups', async () => {
    expect(await recordsOf(join(FIXTURES, 'pages-v2.parquet'))).toEqual(RECORDS);
  });
});

it('tells whole floats within lists and objects from integers', async () => {
  const [first, second] = (await recordsOf(join(FIXTURES, 'floats.parquet'))).map(({ fields }) => fields);
  const call = { x: 1, n: 1, list: [2, 0.5, null], by_name: { a: 3, b: 0.25 } };
  expect(first).toEqual({ calls: [call, null], double: 1 });
  expect(second).toEqual({ calls: null, double: null });
  const written = '[{"x": 1.0, "n": 1, "list": [2.0, 0.5, null], "by_name": {"a": 3.0, "b": 0.25}}, null]';
  expect(pythonJson(first!.calls)).toBe(written);
});

describe('class names', () => {
  it('of Hugging Face’s datasets are by column; −1 stays, for a label that is not known', async () => {
    const path = join(FIXTURES, 'classes.parquet');
    expect(await readFeatures(path)).toEqual({ label: ['negative', 'positive'] });
    expect((await recordsOf(path)).map(({ fields }) => fields)).toEqual([
      { sentence: 'a fine film', label: 1, idx: 0 },
      { sentence: 'dull', label: 0, idx: 1 },
      { sentence: 'not labelled', label: -1, idx: 2 },
    ]);
  });

  it('are absent from other files', async () => {
    expect(await readFeatures(join(FIXTURES, 'columns-none.parquet'))).toEqual({});
    expect(await readFeatures('nowhere.csv')).toEqual({});
  });
});

/** A file of one text and one integer column. */
function tableOf(texts: readonly (string | null)[], rowGroupSize: number): Uint8Array {
  const label = texts.map((_, i) => BigInt(i));
  const columns = [
    { name: 'text', data: [...texts], type: 'STRING' as const, nullable: true },
    { name: 'label', data: label, type: 'INT64' as const },
  ];
  return new Uint8Array(parquetWriteBuffer({ columnData: columns, rowGroupSize }));
}

it('gives back what was written, in row groups of any size', async () => {
  const texts = fc.array(fc.option(fc.string({ unit: 'grapheme', maxLength: 6 })), { minLength: 1, maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(texts, fc.integer({ min: 1, max: 21 }), async (rows, size) => {
      const expected = rows.map((text, i) => ({ line: i + 1, fields: { text, label: i } }));
      expect(await files.read('p.parquet', tableOf(rows, size))).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});

it('reads a large row group in parts, and tells how far it is', async () => {
  const texts = Array.from({ length: 9000 }, (_, i) => `${i} `.repeat(1000));
  const path = files.write('large.parquet', tableOf(texts, 9000));
  const seen: [number, number][] = [];
  let count = 0;
  for await (const { line, fields } of readRecords(path, { onBytes: (done, total) => seen.push([done, total]) })) {
    if (fields.text !== texts[count] || line !== ++count) expect.fail(`row ${count} is ${line}`);
  }
  expect(count).toBe(9000);
  expect(seen.length).toBeGreaterThan(1);
  expect(seen.every(([done], i) => i === 0 || done > seen[i - 1]![0])).toBe(true);
  expect(seen.at(-1)![0]).toBe(seen.at(-1)![1]);
});

describe('bad files', () => {
  const whole = readFileSync(join(FIXTURES, 'columns-snappy.parquet'));

  it.each([
    ['a text', Buffer.from('text,label\nx,1\n'), 'begins with "text", expected a Parquet file ("PAR1")'],
    ['nothing', Buffer.alloc(0), 'begins with "", expected a Parquet file ("PAR1")'],
    ['the first bytes alone', whole.subarray(0, 4), 'expected "PAR1" as in a whole Parquet file; is it cut short?'],
    ['half a file', whole.subarray(0, 2000), 'expected "PAR1" as in a whole Parquet file; is it cut short?'],
    ['a wrong length of the footer', damaged(whole, whole.length - 8, 4), 'cannot be read as Parquet: '],
    [
      'a damaged footer',
      damaged(whole, whole.length - 8 - whole.readUInt32LE(whole.length - 8), 200),
      'cannot be read as Parquet: ',
    ],
    ['damaged pages', damaged(whole, 4, 300), 'a.parquet: '],
  ])('%s', async (_, content, message) => {
    expect(await files.fault('a.parquet', content)).toContain(message);
  });

  it('no damage is more than a message, or another value', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), async (at, byte) => {
        const content = Buffer.from(whole);
        content[at] = byte;
        const result = await files.read('d.parquet', content).catch((error: unknown) => error);
        expect(Array.isArray(result) || result instanceof UserError).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('an integer that no number holds', async () => {
    const columns = [{ name: 'n', data: [1n, 2n ** 60n], type: 'INT64' as const }];
    const content = new Uint8Array(parquetWriteBuffer({ columnData: columns }));
    expect(await files.fault('a.parquet', content)).toBe(
      'a.parquet:2: "n" has 1152921504606846976, expected an integer within ±2⁵³',
    );
  });

  it('none there', async () => {
    const missing = join(files.folder, 'none.parquet');
    await expect(recordsOf(missing)).rejects.toThrow(`${missing}: no such file or folder`);
    await expect(readFeatures(missing)).rejects.toThrow(UserError);
  });
});

function damaged(content: Buffer, at: number, length: number): Buffer {
  return Buffer.from(content).fill(255, at, at + length);
}
