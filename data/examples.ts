/**
 * Room: data. Local data files: JSON lines, CSV and TSV with a text or a pair of texts and a label, and JSON lines that
 * are tokenised already. Every row is checked; errors name file and line. Reads the files it is given.
 */
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { CsvError } from 'csv-parse';
import { parse } from 'csv-parse/sync';
import { UserError } from '../engine/errors.ts';
import { fileError, preview } from '../engine/io/files.ts';

/** As found in the file: an integer class index, a class name, a number to predict, or 0 or 1 for every class. */
export type Label = number | string | readonly number[];

interface Row {
  /** Line of the file, from 1. */
  readonly line: number;
  readonly label?: Label;
}

/** A text or a pair of texts. */
export interface TextRow extends Row {
  readonly text: string;
  readonly textPair?: string;
}

/** Text that is tokenised already. */
export interface TokenRow extends Row {
  /** Token ids, special tokens included. */
  readonly inputIds: readonly number[];
  /** 1 for tokens, 0 for padding; as long as `inputIds`. */
  readonly attentionMask: readonly number[];
  /** Segments, where the row gives them; as long as `inputIds`. */
  readonly typeIds?: readonly number[];
}

/** A row of a data file. */
export type RawExample = TextRow | TokenRow;

/**
 * The rows of one file, in order. All rows are of one kind, and all or none are pairs. Where lines hold choices, each choice is a row;
 * those of a line are neighbours.
 */
export interface ExampleFile {
  readonly path: string;
  readonly rows: readonly RawExample[];
}

/** A line of a file, by column. */
export interface Fields {
  readonly line: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

const READERS: Record<string, (path: string, text: string) => Fields[]> = {
  '.jsonl': readJsonLines,
  '.ndjson': readJsonLines,
  '.json': readJsonLines,
  '.csv': (path, text) => readTable(path, text, ','),
  '.tsv': (path, text) => readTable(path, text, '\t'),
};

/**
 * Reads a data file; its ending tells the format (.jsonl, .ndjson, .json, .csv, .tsv). Columns: `text`, or `text_a` and
 * `text_b`, or (JSON lines only) `input_ids`, `attention_mask` and `token_type_ids`; and `label`. Other columns are ignored. With choices:
 * `text` or `text_a` and `choice_0`, `choice_1` …, or (JSON lines only) a list `choices`, or lists of `input_ids` and `attention_mask`.
 * @throws UserError with file and line
 */
export async function readExamples(path: string, options: ReadOptions): Promise<ExampleFile> {
  const records = await readRecords(path);
  const first = records[0];
  if (!first) throw new UserError(`${path}: empty, expected at least one example`);
  const parseRow = options.choices ? choicesParser(path, first) : rowParser(path, first);
  const rows = records.flatMap((record) => {
    const common = { line: record.line, ...parseLabel(path, record, options.needLabel) };
    return [parseRow(record)].flat().map((content) => ({ ...common, ...content }));
  });
  return { path, rows };
}

/** The lines of a data file, whatever their columns. @throws UserError with file and line */
export async function readRecords(path: string): Promise<Fields[]> {
  const reader = READERS[extname(path).toLowerCase()];
  if (!reader) throw new UserError(`${path}: unknown ending, expected one of ${Object.keys(READERS).join(', ')}`);
  return reader(path, await readText(path));
}

interface ReadOptions {
  /** Whether every row must have a label; otherwise labels are optional. */
  readonly needLabel: boolean;
  /** Whether every line holds several texts or token lists. */
  readonly choices?: boolean;
}

/** @throws UserError where the file is missing or not UTF-8 */
export async function readText(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw fileError(path, error);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${path}: not UTF-8; save the file as UTF-8`);
  }
}

function readJsonLines(path: string, text: string): Fields[] {
  return text.split('\n').flatMap((content, i) => {
    if (content.trim() === '') return [];
    const at = `${path}:${i + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(content);
    } catch {
      throw new UserError(`${at}: not JSON, expected one object per line such as {"text": "…", "label": 0}`);
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new UserError(
        `${at}: found ${preview(value)}, expected one object per line such as {"text": "…", "label": 0}`,
      );
    }
    return [{ line: i + 1, fields: value as Record<string, unknown> }];
  });
}

/** A table with a header line. CSV quotes fields as RFC 4180; a TSV record is always one line. */
function readTable(path: string, text: string, delimiter: ',' | '\t'): Fields[] {
  let records: { record: string[]; info: { lines: number } }[];
  try {
    records = parse(text, {
      delimiter,
      quote: delimiter === ',' ? '"' : null,
      bom: true,
      info: true,
      relax_column_count: true,
      skip_empty_lines: true,
    }) as unknown as typeof records;
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new UserError(`${path}: not valid CSV: ${error.message}`);
  }
  const [header, ...body] = records.map(({ record, info }) => ({
    values: delimiter === '\t' ? record.map(unquote) : record,
    // The parser counts lines at the record's end.
    line: info.lines - record.join('').split('\n').length + 1,
  }));
  const names = (header?.values ?? []).map((name) => name.trim());
  return body.map(({ values, line }) => {
    if (values.length !== names.length) {
      throw new UserError(
        `${path}:${line}: found ${values.length} fields, expected ${names.length} (${names.join(', ')})`,
      );
    }
    return { line, fields: Object.fromEntries(names.map((name, i) => [name, values[i]])) };
  });
}

/** Many writers of TSV quote a field; a lone quotation mark is text. */
function unquote(field: string): string {
  return /^".*"$/.test(field) && field.length > 1 ? field.slice(1, -1).replaceAll('""', '"') : field;
}

type Content = Pick<TextRow, 'text' | 'textPair'> | Omit<TokenRow, keyof Row>;

/** The kind of a file's rows is that of its first row. */
function rowParser(path: string, first: Fields): (record: Fields) => Content {
  const has = (name: string): boolean => first.fields[name] !== undefined;
  if (has('input_ids')) return (record) => parseTokens(path, record);
  if (has('text')) return (record) => ({ text: parseText(path, record, 'text') });
  if (has('text_a') || has('text_b')) {
    return (record) => ({ text: parseText(path, record, 'text_a'), textPair: parseText(path, record, 'text_b') });
  }
  const found = Object.keys(first.fields).join(', ') || 'nothing';
  throw new UserError(
    `${path}:${first.line}: found ${found}, expected "text", or "text_a" and "text_b", or "input_ids"`,
  );
}

/** The choices of a line: what `rowParser` reads of it with one choice in the place of all. */
function choicesParser(path: string, first: Fields): (record: Fields) => Content[] {
  const tokens = first.fields.input_ids !== undefined;
  const columns = Object.keys(first.fields).filter((column) => CHOICE_COLUMN.test(column));
  const name = tokens ? 'input_ids' : 'choices';
  const text = first.fields.text === undefined ? 'text_a' : 'text';
  return (record) => {
    const { attention_mask: masks, token_type_ids: types } = record.fields;
    const choices = columns.length > 0 ? inOrder(columns).map((c) => record.fields[c]) : record.fields[name];
    if (!Array.isArray(choices) || choices.length === 0) {
      const expected = tokens
        ? 'a list of token lists'
        : 'a list of texts beside "text", or the columns choice_0, choice_1 …';
      throw new UserError(
        `${path}:${record.line}: "${name}" is ${preview(choices)}, expected ${expected}, one a choice`,
      );
    }
    return choices.map((choice: unknown, i) => {
      const of = (values: unknown): unknown => (Array.isArray(values) ? (values as unknown[])[i] : values);
      const lists = { input_ids: choice, attention_mask: of(masks), token_type_ids: of(types) };
      if (tokens) return parseTokens(path, { ...record, fields: lists });
      const fields = { [text]: record.fields[text], [columns[i] ?? name]: choice };
      return {
        text: parseText(path, { ...record, fields }, text),
        textPair: parseText(path, { ...record, fields }, columns[i] ?? name),
      };
    });
  };
}

const CHOICE_COLUMN = /^choice_\d+$/;

/** `choice_2` before `choice_10`. */
function inOrder(columns: readonly string[]): string[] {
  const number = (column: string): number => Number(column.slice(column.indexOf('_') + 1));
  return [...columns].sort((a, b) => number(a) - number(b));
}

/** Whether a line holds several choices. */
export function hasChoices({ choices, input_ids: ids, ...others }: Fields['fields']): boolean {
  return choices !== undefined || Object.keys(others).some((c) => CHOICE_COLUMN.test(c)) || isNested(ids);
}

function isNested(value: unknown): boolean {
  return Array.isArray(value) && Array.isArray(value[0]);
}

/** @throws UserError where the column holds no text */
export function parseText(path: string, { line, fields }: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string')
    throw new UserError(`${path}:${line}: "${name}" is ${preview(value)}, expected a string`);
  return value;
}

export function parseTokens(path: string, { line, fields }: Fields): Omit<TokenRow, keyof Row> {
  const at = `${path}:${line}`;
  const tokens = parseMasked(at, fields);
  const typeIds = perToken(at, fields, 'token_type_ids', 2 ** 31 - 1, 'a segment (an integer from 0)');
  if (!tokens.attentionMask.includes(1)) {
    throw new UserError(`${at}: "attention_mask" is 0 everywhere, expected at least one 1`);
  }
  return { ...tokens, ...(typeIds && { typeIds }) };
}

/** Token ids, and which of them are no padding. @throws UserError where they are no lists of equal length */
export function parseMasked(at: string, fields: Fields['fields']): Pick<TokenRow, 'inputIds' | 'attentionMask'> {
  const inputIds = integers(at, 'input_ids', fields.input_ids, 2 ** 31 - 1, 'a token id (an integer from 0)');
  const attentionMask = perToken(at, fields, 'attention_mask', 1, '0 or 1') ?? inputIds.map(() => 1);
  return { inputIds, attentionMask };
}

/** A list as long as `input_ids`, where there is one. */
function perToken(
  at: string,
  fields: Fields['fields'],
  name: string,
  high: number,
  expected: string,
): number[] | undefined {
  if (fields[name] === undefined) return undefined;
  const values = integers(at, name, fields[name], high, expected);
  const { length } = fields.input_ids as unknown[];
  if (values.length === length) return values;
  throw new UserError(`${at}: "${name}" has ${values.length} entries, "input_ids" ${length}; expected equally many`);
}

/** A list of integers from 0 to `high`, at least one. */
export function integers(at: string, name: string, value: unknown, high: number, expected: string): number[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw new UserError(`${at}: "${name}" is ${preview(value)}, expected a list, each entry ${expected}`);
  }
  const bad = value.findIndex((item) => !Number.isInteger(item) || item < 0 || item > high);
  if (bad >= 0) throw new UserError(`${at}: "${name}" entry ${bad} is ${preview(value[bad])}, expected ${expected}`);
  return value as number[];
}

/**
 * Absent, null and (in tables) empty labels are missing. `"3"` and `"3.0"` are the integer 3, `"0.5"` is a number, true and false are 1
 * and 0.
 */
function parseLabel(path: string, { line, fields }: Fields, needed: boolean): { label?: Label } {
  const value = fields.label;
  if (value === undefined || value === null || value === '') {
    if (!needed) return {};
    throw new UserError(`${path}:${line}: "label" is missing, expected a class index, a class name or a number`);
  }
  if (typeof value === 'boolean') return { label: Number(value) };
  if (typeof value === 'number' && Number.isFinite(value)) return { label: value };
  if (Array.isArray(value) && value.length > 1 && value.every((item) => item === 0 || item === 1)) {
    return { label: value as number[] };
  }
  if (typeof value === 'string') {
    const isNumber = isFraction(value) || /^\s*\d+(\.0+)?\s*$/.test(value);
    return { label: isNumber ? Number(value) : value.trim() };
  }
  const expected = 'a class index, a class name, a number, or a list with 0 or 1 for every class';
  throw new UserError(`${path}:${line}: "label" is ${preview(value)}, expected ${expected}`);
}

function isFraction(text: string): boolean {
  return text.trim() !== '' && Number.isFinite(Number(text)) && !Number.isInteger(Number(text));
}
