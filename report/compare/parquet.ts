/** Room: report/compare. Rows as an Apache Parquet file. */
import { COLUMN_NAMES, COLUMNS, type RunRow } from './columns.ts';

/** Every column with its type; what is not known is null. */
export async function runsParquet(rows: readonly RunRow[]): Promise<Uint8Array> {
  // Loaded when it is needed: other commands need not wait for it.
  const { parquetWriteBuffer } = await import('hyparquet-writer');
  const columnData = COLUMN_NAMES.map((name) => ({ name, type: COLUMNS[name], data: rows.map((row) => row[name]) }));
  return new Uint8Array(parquetWriteBuffer({ columnData }));
}
