/** Room: data/formats. What a data file gives, and what a task declares of one. Types only. */
import type { OnBytes } from '../../engine/io/load.ts';

/** A record of a file, by column. */
export interface Fields {
  /** Line of the file where it begins, from 1; of a Parquet file the row. */
  readonly line: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What the files of a task have that a reader could not know. */
export interface Dialect {
  /** Quotation marks of a table: `csv` as RFC 4180, `none` where they are text. Found out where absent. */
  readonly quote?: 'csv' | 'none' | undefined;
  /** Column names of a table without a header line: one whose first line has none of them. */
  readonly header?: readonly string[] | undefined;
  /** Is told of a table's line with a wrong number of columns, which is then left out. Absent: it is refused. */
  readonly onBadLine?: ((line: number, found: number) => void) | undefined;
  /** Key of a JSON file's list of records, as `data` of `{"version": …, "data": […]}`. Found out where absent. */
  readonly rows?: string | undefined;
}

export interface RecordOptions {
  /** Is told how much of the file has been read. */
  readonly onBytes?: OnBytes | undefined;
  readonly dialect?: Dialect | undefined;
}

/** Records of a file, some at a time. @throws UserError with file and line */
export type Reader = (path: string, options: RecordOptions) => AsyncGenerator<readonly Fields[]>;
