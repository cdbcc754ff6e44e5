/**
 * Room: data. Rows of data files: a text or a pair of texts, or choices, and a label; or what is tokenised already. Every row is checked;
 * errors name file and line.
 */
import { option, UserError } from '../engine/errors.ts';
import { preview, previewNames } from '../engine/io/files.ts';
import type { OnBytes } from '../engine/io/load.ts';
import type { Label } from './labels.ts';
import { warnUnused } from './columns.ts';
import { parseRecords, sourceOf, type RecordSource } from './record-source.ts';
import type { Fields } from './records.ts';

interface Row {
  /** Line of the file, from 1. */
  readonly line: number;
  readonly label?: Label;
  /** Place among the choices of its line. */
  readonly choice?: number;
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
  readonly rows: Iterable<RawExample> | AsyncIterable<RawExample>;
}

/**
 * The rows of a data file, read when they are asked for; its ending tells the format. Columns: `text`, perhaps with `text_pair`, or `text_a`
 * and `text_b`, or (JSON lines only) `input_ids`, `attention_mask` and `token_type_ids`; and `label`. Other columns are
 * left out, with a warning. With choices: `text` or `text_a` and `choice_0`, `choice_1` …, or (JSON lines only) a list `choices`, or lists of `input_ids`
 * and `attention_mask`. Reading throws a UserError with file and line.
 */
export function readExamples(given: string | RecordSource, { needLabel, choices, onBytes }: ReadOptions): ExampleFile {
  const source = sourceOf(given);
  const { path } = source;
  const parserFor = (first: Fields): ((record: Fields) => RawExample[]) => {
    const parseRow = choices ? choicesParser(path, first) : rowParser(path, first);
    return (record) => {
      const common = { line: record.line, ...parseLabel(path, record, needLabel) };
      const rows = parseRow(record);
      return Array.isArray(rows)
        ? rows.map((row, choice) => ({ ...common, ...row, choice }))
        : [{ ...common, ...rows }];
    };
  };
  return { path, rows: parseRecords(source, parserFor, onBytes) };
}

interface ReadOptions {
  /** Whether every row must have a label; otherwise labels are optional. */
  readonly needLabel: boolean;
  /** Whether every line holds several texts or token lists. */
  readonly choices?: boolean;
  readonly onBytes?: OnBytes | undefined;
}

type Content = Pick<TextRow, 'text' | 'textPair'> | Omit<TokenRow, keyof Row>;

/** Columns of the two texts of a pair, in the order in which they are looked for. */
const PAIRS = [
  ['text', 'text_pair'],
  ['text_a', 'text_b'],
] as const;

/** The kind of a file's rows is that of its first row. */
function rowParser(path: string, first: Fields): (record: Fields) => Content {
  const has = (name: string): boolean => first.fields[name] !== undefined;
  const reads = <T>(columns: readonly string[], parse: T): T => {
    warnUnused(path, Object.keys(first.fields), [...columns, 'label']);
    return parse;
  };
  if (has('input_ids'))
    return reads(['input_ids', 'attention_mask', 'token_type_ids'], (record) => parseTokens(path, record));
  const pair =
    PAIRS.find((columns) => columns.every(has)) ?? (has('text') ? undefined : PAIRS.find((c) => c.some(has)));
  if (pair) {
    const [a, b] = pair;
    return reads(pair, (record) => ({ text: parseText(path, record, a), textPair: parseText(path, record, b) }));
  }
  if (has('text')) return reads(['text'], (record) => ({ text: parseText(path, record, 'text') }));
  const found = previewNames(Object.keys(first.fields));
  throw new UserError(
    `${path}:${first.line}: found ${found}, expected "text", or "text_a" and "text_b", or "input_ids"; ${option('columns')} text=… names another column`,
  );
}

/** The choices of a line: what `rowParser` reads of it with one choice in the place of all. */
function choicesParser(path: string, first: Fields): (record: Fields) => Content[] {
  const tokens = first.fields.input_ids !== undefined;
  const columns = Object.keys(first.fields).filter((column) => CHOICE_COLUMN.test(column));
  const name = tokens ? 'input_ids' : 'choices';
  const text = first.fields.text === undefined ? 'text_a' : 'text';
  const used = tokens ? ['attention_mask', 'token_type_ids'] : [text, ...columns];
  warnUnused(path, Object.keys(first.fields), [name, ...used, 'label']);
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
function integers(at: string, name: string, value: unknown, high: number, expected: string): number[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw new UserError(`${at}: "${name}" is ${preview(value)}, expected a list, each entry ${expected}`);
  }
  for (let i = 0; i < value.length; i++) {
    const item: unknown = value[i];
    if (!Number.isInteger(item) || (item as number) < 0 || (item as number) > high)
      throw new UserError(`${at}: "${name}" entry ${i} is ${preview(item)}, expected ${expected}`);
  }
  return value as number[];
}

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const NOT_FINITE = /^[+-]?(?:nan|inf|infinity)$/i;

/**
 * Absent, null, empty and NaN labels are missing. In text, numbers in any usual spelling are numbers: `3`, `3.0`, `+3`, `3e0` are all 3; true
 * and false are 1 and 0.
 */
function parseLabel(path: string, { line, fields }: Fields, needed: boolean): { label?: Label } {
  const value = typeof fields.label === 'string' ? fields.label.trim() : fields.label;
  if (value === undefined || value === null || value === '' || isNaNText(value)) {
    if (!needed) return {};
    const found = typeof value === 'string' && value !== '' ? ` ("${value}" is none)` : '';
    throw new UserError(
      `${path}:${line}: "label" is missing${found}, expected a class index, a class name or a number`,
    );
  }
  if (typeof value === 'boolean') return { label: Number(value) };
  const number = typeof value === 'string' && NUMBER.test(value) ? Number(value) : value;
  if (typeof number === 'number' && Number.isFinite(number)) return { label: number };
  if (Array.isArray(value) && value.length > 1 && value.every((item) => item === 0 || item === 1)) {
    return { label: value as number[] };
  }
  if (typeof number === 'string' && !NOT_FINITE.test(number)) return { label: number };
  const expected = 'a class index, a class name, a finite number, or a list with 0 or 1 for every class';
  throw new UserError(`${path}:${line}: "label" is ${preview(value)}, expected ${expected}`);
}

function isNaNText(value: unknown): boolean {
  return typeof value === 'string' && /^[+-]?nan$/i.test(value);
}
