/** Room: data/formats. One JSON object a line. Reads the file it is given. */
import { UserError } from '../../engine/errors.ts';
import { preview } from '../../engine/io/files.ts';
import { readLines } from '../../engine/io/text.ts';
import type { Fields, RecordOptions } from './record.ts';

const EXPECTED = 'expected one object per line such as {"text": "…", "label": 0}';

export async function* readJsonLines(path: string, { onBytes }: RecordOptions): AsyncGenerator<readonly Fields[]> {
  for await (const { line: first, texts } of readLines(path, onBytes)) {
    const records: Fields[] = [];
    for (const [i, text] of texts.entries()) {
      const line = first + i;
      if (text.trim() !== '') records.push({ line, fields: parseLine(path, line, text) });
    }
    yield records;
  }
}

function parseLine(path: string, line: number, text: string): Fields['fields'] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UserError(`${path}:${line}: not JSON, ${EXPECTED}`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields['fields'];
  throw new UserError(`${path}:${line}: found ${preview(value)}, ${EXPECTED}`);
}
