/** Room: data/formats. A Parquet file's own description, and the class names that Hugging Face's `datasets` keeps in it. Reads the file. */
import type { AsyncBuffer, FileMetaData } from 'hyparquet';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { fileError, parseJson, preview } from '../../engine/io/files.ts';

/** How a Parquet file begins and ends. */
const MAGIC = 'PAR1';

/** Where `datasets` keeps what its columns are. */
const FEATURES_KEY = 'huggingface';

const featuresSchema = z.object({ info: z.object({ features: z.record(z.string(), z.unknown()) }) });
const classLabelSchema = z.object({ _type: z.literal('ClassLabel'), names: z.array(z.string()) });

interface ParquetFile {
  readonly file: AsyncBuffer;
  readonly metadata: FileMetaData;
}

/** @throws UserError where it is missing, no Parquet, or damaged */
export async function openParquet(path: string): Promise<ParquetFile> {
  const { asyncBufferFromFile, parquetMetadataAsync } = await import('hyparquet');
  try {
    const file = await asyncBufferFromFile(path);
    await checkMagic(path, file);
    const metadata = await readable(path, () => parquetMetadataAsync(file, { geoparquet: false }));
    return { file, metadata };
  } catch (error) {
    throw fileError(path, error);
  }
}

async function checkMagic(path: string, file: AsyncBuffer): Promise<void> {
  const { byteLength } = file;
  const textAt = async (start: number): Promise<string> =>
    Buffer.from(await file.slice(Math.max(0, start), Math.min(byteLength, start + MAGIC.length))).toString('latin1');
  const [first, last] = [await textAt(0), await textAt(byteLength - MAGIC.length)];
  if (first !== MAGIC)
    throw new UserError(`${path}: begins with ${preview(first)}, expected a Parquet file ("${MAGIC}")`);
  if (last !== MAGIC || byteLength < 3 * MAGIC.length)
    throw new UserError(
      `${path}: ends in ${preview(last)}, expected "${MAGIC}" as in a whole Parquet file; is it cut short?`,
    );
}

/** What `read` makes of a file. @throws UserError where it fails, as only a damaged or unusual file lets it */
export async function readable<T>(path: string, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${path}: cannot be read as Parquet: ${(error as Error).message}`);
  }
}

/**
 * Names of the classes that a column's integers stand for, by column, where Hugging Face's `datasets` wrote the file (`ClassLabel`). Such a
 * column has −1 where the class is not known.
 * @throws UserError where the file is missing, no Parquet, or damaged
 */
export async function readParquetFeatures(path: string): Promise<Readonly<Record<string, readonly string[]>>> {
  const { metadata } = await openParquet(path);
  const text = metadata.key_value_metadata?.find(({ key }) => key === FEATURES_KEY)?.value;
  const found = featuresSchema.safeParse(text === undefined ? undefined : parseJson(text, path));
  const columns: Record<string, readonly string[]> = {};
  for (const [column, feature] of Object.entries(found.data?.info.features ?? {})) {
    const { data } = classLabelSchema.safeParse(feature);
    if (data) columns[column] = data.names;
  }
  return columns;
}
