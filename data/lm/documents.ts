/**
 * Room: data/lm. Data of causal language models: plain text, prompts with completions, conversations, or token ids. Errors name file and line.
 */
import { extname } from 'node:path';
import { UserError } from '../../engine/errors.ts';
import { preview, previewNames } from '../../engine/io/files.ts';
import type { OnBytes } from '../../engine/io/load.ts';
import { readText } from '../../engine/io/text.ts';
import { IGNORE_INDEX } from '../encoded-example.ts';
import { warnUnused } from '../columns.ts';
import { parseMasked, parseText } from '../examples.ts';
import { parseRecords, sourceOf, type RecordSource } from '../record-source.ts';
import type { Fields } from '../records.ts';
import { isConversational, messagesColumn, parseConversation, type Conversation } from './conversations.ts';

/** Text to learn as it is. */
export interface Document {
  readonly line: number;
  readonly text: string;
}

/** Only the completion is learned. */
export interface Completion {
  readonly line: number;
  readonly prompt: string;
  readonly completion: string;
}

/** Tokenised already; the lists are equally long. Padding that no label asks for is left out. */
export interface TokenDocument {
  readonly line: number;
  readonly inputIds: readonly number[];
  /** 1 for tokens, 0 for padding. */
  readonly attentionMask: readonly number[];
  /** −100 marks what is not learned. */
  readonly labels: readonly number[];
}

/** What a language model learns from. */
export type LanguageRow = Document | Completion | Conversation | TokenDocument;

/** The rows of one file, in order. */
export interface LanguageFile {
  readonly path: string;
  /** All of one kind. */
  readonly rows: Iterable<LanguageRow> | AsyncIterable<LanguageRow>;
}

/** Whether a file is one document. */
export const isPlainText = (path: string): boolean => extname(path).toLowerCase() === '.txt';

/** Whether a line is a prompt with its completion, or a conversation. */
export function hasPrompts(fields: Fields['fields']): boolean {
  return isConversational(fields) || fields.prompt !== undefined || fields.completion !== undefined;
}

/** Whether a line can only be meant for a language model. */
export function isForLanguage(fields: Fields['fields']): boolean {
  return hasPrompts(fields) || Array.isArray(fields.labels);
}

/**
 * A .txt file, which is one document, or lines (.jsonl, .csv, .tsv) with `messages`, or `prompt` and `completion` (texts, or messages), or
 * `text`, or (JSON lines) `input_ids` and perhaps `attention_mask`, and `labels` where not every token is learned. They are read when they are asked for, which throws a
 * UserError with file and line.
 */
export function readLanguageFile(given: string | RecordSource, onBytes?: OnBytes): LanguageFile {
  const source = sourceOf(given);
  const { path } = source;
  if (isPlainText(path)) return { path, rows: wholeText(path, onBytes) };
  const parserFor = (first: Fields): ((record: Fields) => LanguageRow[]) => {
    const parse = rowParser(path, first);
    return (record) => [parse(record)];
  };
  return { path, rows: parseRecords(source, parserFor, onBytes) };
}

async function* wholeText(path: string, onBytes?: OnBytes): AsyncGenerator<Document> {
  yield { line: 1, text: await readText(path, onBytes) };
}

/** What conversations have beside their messages. */
const EXTRA = ['tools', 'documents', 'chat_template_kwargs'];

function rowParser(path: string, { line, fields }: Fields): (record: Fields) => LanguageRow {
  const reads = <T>(columns: readonly string[], parse: T): T => {
    warnUnused(path, Object.keys(fields), columns);
    return parse;
  };
  if (fields.input_ids !== undefined)
    return reads(['input_ids', 'attention_mask', 'labels'], (record) => parseTokens(path, record));
  if (isConversational(fields)) {
    const column = messagesColumn(fields);
    const columns = column === undefined ? ['prompt', 'completion'] : [column];
    return reads([...columns, ...EXTRA], (record) => parseConversation(path, record, column));
  }
  if (fields.prompt !== undefined || fields.completion !== undefined) {
    return reads(['prompt', 'completion'], (record) => ({
      line: record.line,
      prompt: parseText(path, record, 'prompt'),
      completion: parseText(path, record, 'completion'),
    }));
  }
  if (fields.text !== undefined)
    return reads(['text'], (record) => ({ line: record.line, text: parseText(path, record, 'text') }));
  const found = previewNames(Object.keys(fields));
  throw new UserError(
    `${path}:${line}: found ${found}, expected "messages", or "prompt" and "completion", or "text", or "input_ids"`,
  );
}

function parseTokens(path: string, { line, fields }: Fields): TokenDocument {
  const at = `${path}:${line}`;
  const { inputIds, attentionMask } = parseMasked(at, fields);
  const { labels = inputIds.map((id, i) => (attentionMask[i] === 1 ? id : IGNORE_INDEX)) } = fields;
  const isLabel = (value: unknown): boolean =>
    Number.isInteger(value) && ((value as number) >= 0 || value === IGNORE_INDEX);
  if (!Array.isArray(labels) || labels.length !== inputIds.length || !labels.every(isLabel)) {
    throw new UserError(
      `${at}: "labels" is ${preview(labels)}, expected ${inputIds.length} entries, each a token id or ${IGNORE_INDEX}`,
    );
  }
  const isKept = (_: unknown, i: number): boolean => attentionMask[i] === 1 || (labels[i] as number) >= 0;
  const kept = <T>(values: readonly T[]): T[] => values.filter(isKept);
  return { line, inputIds: kept(inputIds), attentionMask: kept(attentionMask), labels: kept(labels as number[]) };
}
