/** Room: data. Hashes of what a request names, so that a run goes on only with the data that it began with. */
import { join } from 'node:path';
import { exists } from '../engine/io/files.ts';
import { fingerprintFiles, fingerprintText } from '../engine/io/fingerprint.ts';
import { loadChatFormat } from '../models/chat/chat-format.ts';
import { isConversational } from './lm/conversations.ts';
import { isPlainText } from './lm/documents.ts';
import type { DataOptions } from './options.ts';
import { readRecords, type Fields } from './records.ts';
import { requestedFiles, taskOf, type DataRequest } from './request.ts';

/** `sha256:…` by what is hashed. */
export interface Content {
  readonly train?: string;
  readonly eval?: string;
  readonly tokenizer?: string;
  readonly chatTemplate?: string;
}

/**
 * Of training and evaluation data, of the tokenizer that makes ids of their texts, and of the template that makes texts of conversations.
 * Files are told by their bytes, wherever they lie; a built-in task by its name: its splits name every text.
 * @param modelDir the folder with the tokenizer
 * @throws UserError for a file that cannot be read
 */
export async function contentOf(request: DataRequest, options: DataOptions, modelDir: string): Promise<Content> {
  const path = join(modelDir, 'tokenizer.json');
  const row = await firstRow(request);
  const tokenizer = row?.input_ids === undefined && (await exists(path)) ? await fingerprintFiles([path]) : undefined;
  const chat = row && isConversational(row) ? await loadChatFormat(modelDir) : undefined;
  return {
    ...(await dataContent(request, options)),
    ...(tokenizer !== undefined && { tokenizer }),
    ...(chat && { chatTemplate: fingerprintText(chat.content) }),
  };
}

async function dataContent(request: DataRequest, options: DataOptions): Promise<Content> {
  const task = taskOf(request);
  if (task?.load) {
    const { evalSplit = task.evalSplit } = options;
    const name = fingerprintText(task.name);
    return { train: name, eval: evalSplit === task.evalSplit ? name : fingerprintText(`${task.name} ${evalSplit}`) };
  }
  const { train, eval: test } = await requestedFiles(request, options);
  return {
    ...(train && { train: await fingerprintFiles(train) }),
    ...(test && { eval: await fingerprintFiles(test) }),
  };
}

/** The columns of a file's first row; undefined for a task, and for a file of texts alone. */
async function firstRow({ task, train, eval: test }: DataRequest): Promise<Fields['fields'] | undefined> {
  const [path] = [train ?? test ?? []].flat();
  if (task !== undefined || path === undefined || isPlainText(path)) return undefined;
  for await (const { fields } of readRecords(path)) return fields;
  return undefined;
}
