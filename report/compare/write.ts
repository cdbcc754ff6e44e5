/** Room: report/compare. Writes what compares runs: a page, and all rows as CSV and as Parquet. */
import { join } from 'node:path';
import { writeAtomically } from '../../engine/io/files.ts';
import { csvText } from '../csv.ts';
import { COLUMN_NAMES } from './columns.ts';
import { comparePage, type ComparedRuns } from './page.ts';
import { runsParquet } from './parquet.ts';

/** What `writeComparison` leaves in a folder. */
export const COMPARE_FILES = { page: 'comparison.html', csv: 'runs.csv', parquet: 'runs.parquet' } as const;

/**
 * Writes all files of the comparison into a folder, or none.
 * @returns the path of the page
 * @throws UserError where the folder cannot be written
 */
export async function writeComparison(dir: string, compared: ComparedRuns): Promise<string> {
  const { rows } = compared;
  const csv = csvText(COLUMN_NAMES, rows.map((row) => COLUMN_NAMES.map((name) => row[name]))); // prettier-ignore
  const contents = { page: comparePage(compared), csv, parquet: await runsParquet(rows) };
  await writeAtomically(
    (['parquet', 'csv', 'page'] as const).map((kind) => ({
      path: join(dir, COMPARE_FILES[kind]),
      write: (file) => file.writeFile(contents[kind]),
    })),
  );
  return join(dir, COMPARE_FILES.page);
}
