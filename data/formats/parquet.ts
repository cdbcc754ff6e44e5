/** Room: data/formats. Parquet, some rows at a time. Reads the file it is given. */
import type { DecodedArray, FileMetaData, RowGroup, SchemaTree } from 'hyparquet';
import { UserError } from '../../engine/errors.ts';
import { openParquet, readable } from './parquet-file.ts';
import { jsonValue, PARSERS } from './parquet-values.ts';
import type { Fields, RecordOptions } from './record.ts';

/** Bytes that are decoded at a time; of nested columns a whole row group is. */
const PART_BYTES = 2 ** 25;

/** Rows that are made of them at a time. */
const ROWS = 4096;

interface Column {
  readonly name: string;
  readonly isNested: boolean;
  readonly tree: SchemaTree;
}

/** Rows of one row group. */
interface Part {
  readonly rowStart: number;
  readonly rowEnd: number;
}

/** @throws UserError where the file is no Parquet or damaged, or an integer is beyond what a number holds */
export async function* readParquet(path: string, { onBytes }: RecordOptions): AsyncGenerator<readonly Fields[]> {
  const { file, metadata } = await openParquet(path);
  const [{ parquetScan, parquetSchema }, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet-compressors'),
  ]);
  const options = { file, metadata, compressors, parsers: PARSERS, utf8: false, geoparquet: false };
  const scan = await readable(path, () => parquetScan(options));
  const columns = await readable(path, () => columnsOf(metadata, parquetSchema(metadata).children));
  for (const part of partsOf(metadata, columns)) {
    const values = await readable(path, () =>
      Promise.all(columns.map(({ name }) => scan.readColumn({ column: name, ...part }))),
    );
    const { rowStart, rowEnd } = part;
    checkLengths(path, part, columns, values);
    for (let from = rowStart; from < rowEnd; from += ROWS) {
      const length = Math.min(ROWS, rowEnd - from);
      yield Array.from({ length }, (_, i) => recordOf(path, from + i + 1, columns, values, from - rowStart + i));
      onBytes?.(Math.round(((from + length) / Number(metadata.num_rows)) * file.byteLength), file.byteLength);
    }
  }
}

/** @throws Error where a row group has other columns than the file, which only a damaged one has */
function columnsOf({ row_groups: groups }: FileMetaData, children: readonly SchemaTree[]): Column[] {
  const expected = JSON.stringify(children.flatMap(leavesOf));
  const isOther = ({ columns }: RowGroup): boolean =>
    JSON.stringify(columns.map(({ meta_data: data }) => data?.path_in_schema)) !== expected;
  if (groups.some(isOther)) throw new Error('its row groups have other columns than the file');
  const names = children.map(({ element }) => element.name);
  if (new Set(names).size < names.length) throw new Error('two of its columns have one name');
  return children.map((tree) => ({
    name: tree.element.name,
    isNested: tree.children.length > 0 || tree.element.repetition_type === 'REPEATED',
    tree,
  }));
}

function leavesOf({ path, children }: SchemaTree): string[][] {
  return children.length === 0 ? [path] : children.flatMap(leavesOf);
}

function* partsOf({ row_groups: groups }: FileMetaData, columns: readonly Column[]): Generator<Part> {
  const isNested = columns.some((column) => column.isNested);
  let start = 0;
  for (const group of groups) {
    const end = start + Number(group.num_rows);
    const parts = isNested ? 1 : Math.ceil(Number(group.total_byte_size) / PART_BYTES) || 1;
    const rows = Math.ceil((end - start) / parts);
    for (; start < end; start += rows) yield { rowStart: start, rowEnd: Math.min(end, start + rows) };
    start = end;
  }
}

function checkLengths(
  path: string,
  { rowStart, rowEnd }: Part,
  columns: readonly Column[],
  values: readonly DecodedArray[],
): void {
  const short = values.findIndex(({ length }) => length !== rowEnd - rowStart);
  if (short < 0) return;
  const found = `rows ${rowStart + 1}–${rowEnd}: "${columns[short]!.name}" has ${values[short]!.length} values`;
  throw new UserError(`${path}: ${found}, expected ${rowEnd - rowStart}; the file is damaged`);
}

function recordOf(
  path: string,
  line: number,
  columns: readonly Column[],
  values: readonly DecodedArray[],
  at: number,
): Fields {
  const fields: Record<string, unknown> = {};
  for (const [i, { name, tree }] of columns.entries()) {
    try {
      fields[name] = jsonValue(values[i]![at], tree);
    } catch (error) {
      throw new UserError(`${path}:${line}: "${name}" has ${(error as Error).message}`);
    }
  }
  return { line, fields };
}
