/** Protects: CSV and Parquet hold the same rows; all files of a comparison are written, or none. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { COLUMN_NAMES, COLUMNS, type RunRow } from '../../../report/compare/columns.ts';
import { runsParquet } from '../../../report/compare/parquet.ts';
import { COMPARE_FILES, writeComparison } from '../../../report/compare/write.ts';
import { sampleRow, sampleRows } from './sample.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'compare-'));
});
afterEach(() => rm(dir, { recursive: true }));

const rows = [
  ...sampleRows(),
  sampleRow({ label: 'a "quoted", label\nof <b>two</b> lines', trainPeakBytes: 5_000_000_001, value: -0.1, seed: null }),
  sampleRow({ value: null, software: null, adapter: null, lr: 1e-7 }),
]; // prettier-ignore
const compared = { rows, leftOut: [], command: 'light-peft compare out/run' };

/** A cell of a CSV file as the column's type has it. */
function typed(name: keyof RunRow, text: string): RunRow[keyof RunRow] {
  if (text === '') return null;
  if (COLUMNS[name] === 'BOOLEAN') return text === 'true';
  return COLUMNS[name] === 'STRING' ? text : Number(text);
}

it('writes rows that come back from CSV and from Parquet as they were', async () => {
  expect(await writeComparison(dir, compared)).toBe(join(dir, 'comparison.html'));
  expect((await readdir(dir)).sort()).toEqual(Object.values(COMPARE_FILES).sort());
  const bytes = new Uint8Array(await readFile(join(dir, COMPARE_FILES.parquet))).buffer;
  const fromParquet = await parquetReadObjects({ file: bytes });
  const records: Record<string, string>[] = parse(await readFile(join(dir, COMPARE_FILES.csv)), { columns: true });
  const fromCsv = records.map((record) => Object.fromEntries(COLUMN_NAMES.map((name) => [name, typed(name, record[name]!)]))); // prettier-ignore
  expect(fromParquet).toEqual(rows);
  expect(fromCsv).toEqual(rows);
});

it('writes the types of the columns, whatever a column holds', async () => {
  const { schema } = parquetMetadata(
    (await runsParquet([sampleRow({ seed: null, commit: null })])).buffer as ArrayBuffer,
  );
  const types = schema.slice(1).map(({ name, type, converted_type: text }) => [name, text === 'UTF8' ? 'STRING' : type]); // prettier-ignore
  expect(types).toEqual(Object.entries(COLUMNS));
});

it('leaves what is there where a file is in the way', async () => {
  await writeFile(join(dir, COMPARE_FILES.csv), 'before');
  await mkdir(join(dir, COMPARE_FILES.page, 'x'), { recursive: true });
  await expect(writeComparison(dir, compared)).rejects.toThrow(/comparison\.html: is a folder, expected a file/);
  expect((await readdir(dir)).sort()).toEqual([COMPARE_FILES.page, COMPARE_FILES.csv].sort());
  expect(await readFile(join(dir, COMPARE_FILES.csv), 'utf8')).toBe('before');
  await writeFile(join(dir, 'file'), '');
  await expect(writeComparison(join(dir, 'file'), compared)).rejects.toThrow(/is a file, expected a folder/);
});
