/** Room: data/formats. One JSON object a line. Reads the file it is given. */
import { UserError } from '../../engine/errors.ts';
import { preview, previewNames } from '../../engine/io/files.ts';
import { parseJsonWithFloats } from '../../engine/io/json-floats.ts';
import { readLines } from '../../engine/io/text.ts';
import type { Dialect, Fields, RecordOptions } from './record.ts';

export async function* readJsonLines(
  path: string,
  { onBytes, dialect }: RecordOptions,
): AsyncGenerator<readonly Fields[]> {
  let first: Fields | undefined;
  for await (const { line: start, texts } of readLines(path, onBytes)) {
    const records: Fields[] = [];
    for (const [i, text] of texts.entries()) {
      const line = start + i;
      if (text.trim() === '') continue;
      const fields = objectOf(text, `${path}:${line}`, () => expected(first, dialect));
      records.push({ line, fields });
      first ??= records[0];
    }
    yield records;
  }
}

/** What a line should be: like the first one, if there was one. */
function expected(first: Fields | undefined, dialect: Dialect | undefined): string {
  if (first)
    return `expected one object per line, as line ${first.line} with ${previewNames(Object.keys(first.fields))}`;
  return `expected one object per line${dialect ? '' : ' such as {"text": "…", "label": 0}'}`;
}

function objectOf(text: string, at: string, wanted: () => string): Fields['fields'] {
  let value: unknown;
  try {
    value = parseJsonWithFloats(text);
  } catch {
    throw new UserError(`${at}: not JSON, ${wanted()}`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields['fields'];
  throw new UserError(`${at}: found ${preview(value)}, ${wanted()}`);
}
