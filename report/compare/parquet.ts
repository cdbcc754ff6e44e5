/** Room: report/compare. Rows as an Apache Parquet file. */
import { parquetWriteBuffer } from 'hyparquet-writer';
import { COLUMN_NAMES, COLUMNS, type RunRow } from './columns.ts';

/** Every column with its type; what is not known is null. */
export function runsParquet(rows: readonly RunRow[]): Uint8Array {
  const columnData = COLUMN_NAMES.map((name) => ({ name, type: COLUMNS[name], data: rows.map((row) => row[name]) }));
  return new Uint8Array(parquetWriteBuffer({ columnData }));
}
