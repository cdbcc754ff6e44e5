/** Room: data. Hashes of what a request names, so that a run goes on only with the data that it began with. */
import { join } from 'node:path';
import { fingerprintFiles, fingerprintText } from '../engine/io/fingerprint.ts';
import { exists } from '../engine/io/files.ts';
import { isPlainText } from './lm/documents.ts';
import { readRecords } from './records.ts';
import type { DataRequest } from './source.ts';

/** `sha256:…` by what is hashed. */
export interface Content {
  readonly train?: string;
  readonly eval?: string;
  readonly tokenizer?: string;
}

/**
 * Of training and evaluation data, and of the tokenizer that makes ids of their texts. A file is told by its bytes, wherever it lies; a
 * built-in task by its name: its splits name every text.
 * @param modelDir the folder with the tokenizer
 * @throws UserError for a file that cannot be read
 */
export async function contentOf(request: DataRequest, modelDir: string): Promise<Content> {
  const { task, train, eval: test } = request;
  const hash = async (path: string | undefined): Promise<string | undefined> =>
    path !== undefined ? fingerprintFiles([path]) : task !== undefined ? fingerprintText(task) : undefined;
  const [trained, evaluated] = [await hash(train), await hash(test)];
  const path = join(modelDir, 'tokenizer.json');
  const tokenizer = (await exists(path)) && (await hasTexts(request)) ? await fingerprintFiles([path]) : undefined;
  return { ...(trained && { train: trained }), ...(evaluated && { eval: evaluated }), ...(tokenizer && { tokenizer }) };
}

/** Whether a file's first row, or a task, gives texts and not ids. */
async function hasTexts({ train, eval: test }: DataRequest): Promise<boolean> {
  const path = train ?? test;
  if (path === undefined || isPlainText(path)) return true;
  for await (const { fields } of readRecords(path)) return fields.input_ids === undefined;
  return true;
}
