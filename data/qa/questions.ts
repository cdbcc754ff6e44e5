/** Room: data/qa. Data of extractive question answering: questions on a context, or token ids with positions. Errors name file and line. */
import { UserError } from '../../engine/errors.ts';
import { preview, previewNames } from '../../engine/io/files.ts';
import type { OnBytes } from '../../engine/io/load.ts';
import { warnUnused } from '../columns.ts';
import { parseText, parseTokens, type TokenRow } from '../examples.ts';
import { parseRecords, sourceOf, type RecordSource } from '../record-source.ts';
import type { Fields } from '../records.ts';
import { answersOf, type Answer } from './given-answers.ts';
import { isArticle, questionsOfArticle } from './squad.ts';

/** As SQuAD has it. */
export interface Question {
  readonly line: number;
  readonly question: string;
  readonly context: string;
  /** Absent: not known. None: there is no answer. */
  readonly answers?: readonly Answer[];
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
export function hasQuestion(fields: Fields['fields']): boolean {
  const { question, context, start_positions: start } = fields;
  return (question !== undefined && context !== undefined) || start !== undefined || isArticle(fields);
}

/**
 * Lines with `question`, `context` and `answers` (lists `{"text": […], "answer_start": […]}`, or a list of objects), SQuAD's articles, or
 * `input_ids` with `start_positions` and `end_positions`; without answers also the texts that `readExamples` reads. They are read when they
 * are asked for, which throws a UserError with file and line.
 * @param needAnswers whether every line must have its answer
 */
export function readQuestions(given: string | RecordSource, needAnswers: boolean, onBytes?: OnBytes): QuestionFile {
  const source = sourceOf(given);
  const { path } = source;
  const parserFor = (first: Fields): ((record: Fields) => QuestionRow[]) => {
    if (isArticle(first.fields)) return articleParser(path, needAnswers);
    const parse = rowParser(path, first, needAnswers);
    return (record) => [parse(record)];
  };
  return { path, rows: parseRecords(source, parserFor, onBytes) };
}

/** Of SQuAD's JSON. */
function articleParser(path: string, needAnswers: boolean): (record: Fields) => Question[] {
  return (record) =>
    questionsOfArticle(record, `${path}:${record.line}`).map((fields) =>
      parseQuestion(path, { ...record, fields }, needAnswers),
    );
}

function parseQuestion(path: string, record: Fields, needAnswers: boolean): Question {
  const context = parseText(path, record, 'context');
  const answers = parseAnswers(path, record, context, needAnswers);
  return { line: record.line, question: parseText(path, record, 'question'), context, ...answers };
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
    return (record) => parseQuestion(path, record, needAnswers);
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
  const found = previewNames(Object.keys(fields));
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

/** @throws UserError with file and line */
function parseAnswers(
  path: string,
  { line, fields }: Fields,
  context: string,
  needed: boolean,
): Pick<Question, 'answers'> {
  const { answers } = fields;
  if ((answers === undefined || answers === null) && !needed) return {};
  return { answers: answersOf(answers, context, `${path}:${line}`) };
}
