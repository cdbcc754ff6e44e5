/** Room: data/qa. Data of extractive question answering: questions on a context, or token ids with positions. Errors name file and line. */
import { UserError } from '../../engine/errors.ts';
import { preview } from '../../engine/io/files.ts';
import type { OnBytes } from '../../engine/io/load.ts';
import { warnUnused } from '../columns.ts';
import { parseText, parseTokens, type TokenRow } from '../examples.ts';
import { parseRecords, sourceOf, type RecordSource } from '../record-source.ts';
import type { Fields } from '../records.ts';

/** As SQuAD has it. */
export interface Question {
  readonly line: number;
  readonly question: string;
  readonly context: string;
  /** Absent: not known. None: there is no answer. */
  readonly answers?: readonly Answer[];
}

export interface Answer {
  readonly text: string;
  /** Where it begins in the context, in UTF-16 units. */
  readonly start: number;
}

/** Tokenised already. */
export interface TokenQuestion extends Omit<TokenRow, 'label'> {
  /** First and last token of the answer; absent: not known. */
  readonly span?: readonly [start: number, end: number];
}

/** A row of a file. */
export type QuestionRow = Question | TokenQuestion | PairRow;

/** The questions of one file, in order. */
export interface QuestionFile {
  readonly path: string;
  /** All of one kind. */
  readonly rows: Iterable<QuestionRow> | AsyncIterable<QuestionRow>;
}

/** Texts that are scored without being a question and its context. */
export interface PairRow {
  readonly line: number;
  readonly text: string;
  readonly textPair?: string;
}

/** Whether a line can only be meant for question answering. */
export function hasQuestion({ question, context, start_positions: start }: Fields['fields']): boolean {
  return (question !== undefined && context !== undefined) || start !== undefined;
}

/**
 * Lines with `question`, `context` and `answers` (JSON lines: `{"text": […], "answer_start": […]}`), or `input_ids` with
 * `start_positions` and `end_positions`; without answers also the texts that `readExamples` reads. They are read when they are asked for,
 * which throws a UserError with file and line.
 * @param needAnswers whether every line must have its answer
 */
export function readQuestions(given: string | RecordSource, needAnswers: boolean, onBytes?: OnBytes): QuestionFile {
  const source = sourceOf(given);
  const { path } = source;
  const parserFor = (first: Fields): ((record: Fields) => QuestionRow[]) => {
    const parse = rowParser(path, first, needAnswers);
    return (record) => [parse(record)];
  };
  return { path, rows: parseRecords(source, parserFor, onBytes) };
}

const TOKEN_COLUMNS = ['input_ids', 'attention_mask', 'token_type_ids', 'start_positions', 'end_positions'];

type Parse = (record: Fields) => QuestionRow;

function rowParser(path: string, { line, fields }: Fields, needAnswers: boolean): Parse {
  const there = Object.keys(fields);
  if (fields.input_ids !== undefined) {
    warnUnused(path, there, TOKEN_COLUMNS);
    return (record) => ({ line: record.line, ...parseTokens(path, record), ...parseSpan(path, record, needAnswers) });
  }
  if (fields.question !== undefined || fields.context !== undefined) {
    warnUnused(path, there, ['question', 'context', 'answers']);
    return (record) => {
      const context = parseText(path, record, 'context');
      const answers = parseAnswers(path, record, context, needAnswers);
      return { line: record.line, question: parseText(path, record, 'question'), context, ...answers };
    };
  }
  const [text, second] = fields.text === undefined ? ['text_a', 'text_b'] : ['text', 'text_pair'];
  if (!needAnswers && fields[text] !== undefined) {
    const pair = fields[second] === undefined ? undefined : second;
    warnUnused(path, there, [text, second, 'label']);
    return (record) => ({
      line: record.line,
      text: parseText(path, record, text),
      ...(pair !== undefined && { textPair: parseText(path, record, pair) }),
    });
  }
  const found = Object.keys(fields).join(', ') || 'nothing';
  throw new UserError(`${path}:${line}: found ${found}, expected "question" and "context", or "input_ids"`);
}

function parseSpan(path: string, { line, fields }: Fields, needed: boolean): Pick<TokenQuestion, 'span'> {
  const position = (name: string): number | undefined => {
    const value = fields[name];
    if (value === undefined && !needed) return undefined;
    // Of one answer, whichever way it is written.
    const one: unknown = Array.isArray(value) && value.length === 1 ? value[0] : value;
    if (Number.isInteger(one) && (one as number) >= 0) return one as number;
    throw new UserError(`${path}:${line}: "${name}" is ${preview(value)}, expected the place of a token, from 0`);
  };
  const [start, end] = [position('start_positions'), position('end_positions')];
  return start === undefined || end === undefined ? {} : { span: [start, end] };
}

function parseAnswers(
  path: string,
  { line, fields }: Fields,
  context: string,
  needed: boolean,
): Pick<Question, 'answers'> {
  const at = `${path}:${line}`;
  const { answers } = fields;
  if ((answers === undefined || answers === null) && !needed) return {};
  const { text, answer_start: starts } = (answers ?? {}) as Record<string, unknown>;
  if (!Array.isArray(text) || !Array.isArray(starts) || text.length !== starts.length) {
    const expected = '{"text": […], "answer_start": […]} with equally many of both';
    throw new UserError(`${at}: "answers" is ${preview(answers)}, expected ${expected}`);
  }
  const unit = unitsOf(context);
  return {
    answers: text.map((answer: unknown, i) => {
      const start = unit(starts[i]);
      if (typeof answer === 'string' && answer !== '' && start !== undefined && context.startsWith(answer, start)) {
        return { text: answer, start };
      }
      const found = `${preview(answer)} at ${preview(starts[i])}`;
      throw new UserError(`${at}: "answers" has ${found}, expected a text and the place where "context" has it`);
    }),
  };
}

/** From places counted in characters, as Python counts them, to UTF-16 units. */
function unitsOf(text: string): (place: unknown) => number | undefined {
  const starts: number[] = [];
  let at = 0;
  for (const character of text) {
    starts.push(at);
    at += character.length;
  }
  return (place) => starts[place as number];
}
