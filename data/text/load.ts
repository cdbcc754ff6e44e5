/** Room: data/text. The rows of a task as text: what is learned, and what is judged. Reads the task's files. */
import { option, UserError } from '../../engine/errors.ts';
import type { OnBytes } from '../../engine/io/load.ts';
import { ExampleStore, type Examples, type Tokens } from '../example-store.ts';
import { inOrder } from '../map-in-order.ts';
import { itemsOf, type Source } from '../record-source.ts';
import type { PlacedRow } from '../tasks/split-source.ts';
import type { TaskRow } from '../tasks/task.ts';
import { encodeAnswer, encodeContext, type TextOptions } from './encode.ts';
import { FewShot } from './few-shot.ts';
import { textFigures, type JudgedRow, type TextFigures } from './figures.ts';
import { lengthOf } from './python-text.ts';
import type { AnswerTask, ChoiceTask, TextTask } from './text-task.ts';

/** What rows are read for. */
export interface TextLoading extends TextOptions {
  /** Ends an answer that is generated. */
  readonly endId: number | undefined;
  readonly onBytes: OnBytes | undefined;
}

/** How the choices of rows are judged. */
export interface JudgedChoices {
  readonly kind: 'choices';
  /** Choices of each row, whose examples are neighbours. */
  readonly choices: readonly number[];
  /** From the log-likelihood of every example. */
  readonly figures: (scores: readonly Float32Array[]) => TextFigures;
}

/** Questions whose answers are generated. */
export interface GeneratedAnswers {
  readonly kind: 'answers';
  readonly questions: readonly TextQuestion[];
  /** Most tokens of an answer. */
  readonly maxNewTokens: number;
}

/** How a task as text is judged. */
export type JudgedText = JudgedChoices | GeneratedAnswers;

/** A question whose answer is generated. */
export interface TextQuestion {
  readonly at: string;
  /** What to go on from. */
  readonly ids: Int32Array;
  readonly expected: readonly string[];
}

/** Most tokens of a generated answer: the harness's. */
const MOST_NEW_TOKENS = 256;

/** Tokens that an answer may have, of `maxLength` with its context. */
function newTokens(maxLength: number): number {
  return Math.min(MOST_NEW_TOKENS, Math.floor(maxLength / 2));
}

/** What is read of a task. */
export interface TextData {
  readonly train?: Source<PlacedRow>;
  readonly eval?: Source<PlacedRow>;
  /** Examples before each row that is judged, from the training rows. */
  readonly numFewshot: number;
  /** Whether nothing is learned. */
  readonly evalOnly?: boolean | undefined;
}

/** A task as text. */
export interface LoadedText {
  readonly train: Examples;
  readonly eval: Examples;
  readonly rows: { readonly train: number; readonly eval: number };
  /** Absent where nothing is judged. */
  readonly text?: JudgedText | undefined;
}

/** Reads and encodes a task. @throws UserError for a row without its right answer, and where there are too few examples */
export async function loadTextData(
  task: TextTask,
  { train, eval: test, numFewshot, evalOnly = false }: TextData,
  loading: TextLoading,
): Promise<LoadedText> {
  const learned = train && !evalOnly ? await learnedText(task, train, loading) : [];
  const shots = test && (await fewShot(task, train, numFewshot, loading.onBytes));
  const { examples, text } = test ? await judgedText(task, test, shots, loading) : { examples: [], text: undefined };
  const judged = text?.kind === 'choices' ? text.choices.length : examples.length;
  return { train: learned, eval: examples, rows: { train: learned.length, eval: judged }, text };
}

/** Contexts with their right answers, to learn. @throws UserError for a row without one */
async function learnedText(task: TextTask, rows: Source<PlacedRow>, loading: TextLoading): Promise<Examples> {
  const examples = new ExampleStore();
  const encode = ({ line, row }: PlacedRow): Promise<Tokens> => encodeRight(task, row, `${rows.path}:${line}`, loading);
  for await (const tokens of inOrder(itemsOf(rows, loading.onBytes), encode)) examples.push(tokens);
  return examples;
}

function encodeRight(task: TextTask, row: TaskRow, at: string, loading: TextLoading): Promise<Tokens> {
  if (task.kind === 'answer')
    return encodeAnswer({ context: task.context(row), answer: task.answer(row) }, loading, at, loading.endId);
  const right = task.choices(row)[task.gold(row) ?? -1];
  if (right) return encodeAnswer(right, loading, at);
  throw new UserError(`${at}: no label, expected the right choice`);
}

/** The examples that are drawn from. @param rows absent: there is no training split */
async function fewShot(
  task: TextTask,
  rows: Source<PlacedRow> | undefined,
  count: number,
  onBytes: OnBytes | undefined,
): Promise<FewShot | undefined> {
  if (count === 0) return undefined;
  if (!rows)
    throw new UserError(`${option('numFewshot')}: no training split to draw examples from; give ${option('dataDir')}`);
  const pool: TaskRow[] = [];
  for await (const { row } of itemsOf(rows, onBytes))
    if (task.kind === 'answer' || task.gold(row) !== undefined) pool.push(row);
  return new FewShot(task, pool, count);
}

/** What is judged of a task: examples, and how. */
interface TextEvaluation {
  readonly examples: Examples;
  readonly text: JudgedText;
}

/**
 * Rows to judge, each after the examples that are drawn for it. Of choices each is an example; of generated answers the examples have
 * the right ones.
 * @throws UserError as `encodeAnswer`
 */
async function judgedText(
  task: TextTask,
  rows: Source<PlacedRow>,
  shots: FewShot | undefined,
  loading: TextLoading,
): Promise<TextEvaluation> {
  if (task.kind === 'choices') return judgedChoices(task, rows, shots, loading);
  const text = await textQuestions(task, rows, shots, loading);
  return { examples: await learnedText(task, rows, loading), text };
}

async function judgedChoices(
  task: ChoiceTask,
  rows: Source<PlacedRow>,
  shots: FewShot | undefined,
  loading: TextLoading,
): Promise<TextEvaluation> {
  const examples = new ExampleStore();
  const judged: JudgedRow[] = [];
  const encode = ({ line, row, before }: PreparedRow): Promise<{ row: JudgedRow; tokens: Tokens[] }> =>
    encodeChoices(task, { row, before, at: `${rows.path}:${line}` }, loading);
  for await (const { row, tokens } of inOrder(prepared(rows, shots, loading.onBytes), encode)) {
    for (const choice of tokens) examples.push(choice);
    judged.push(row);
  }
  const choices = judged.map(({ lengths }) => lengths.length);
  const figures = (scores: readonly Float32Array[]): TextFigures => textFigures(task.metrics, judged, examples, scores);
  return { examples, text: { kind: 'choices', choices, figures } };
}

interface PreparedRow extends PlacedRow {
  /** Examples, as text. */
  readonly before: string;
}

async function* prepared(
  rows: Source<PlacedRow>,
  shots: FewShot | undefined,
  onBytes: OnBytes | undefined,
): AsyncGenerator<PreparedRow> {
  for await (const placed of itemsOf(rows, onBytes)) yield { ...placed, before: shots?.before(placed.row) ?? '' };
}

async function encodeChoices(
  task: ChoiceTask,
  { row, before, at }: { readonly row: TaskRow; readonly before: string; readonly at: string },
  loading: TextLoading,
): Promise<{ row: JudgedRow; tokens: Tokens[] }> {
  const choices = task.choices(row);
  const tokens = await Promise.all(
    choices.map(({ context, answer }) => encodeAnswer({ context: before + context, answer }, loading, at)),
  );
  const gold = task.gold(row);
  if (gold === undefined || gold >= choices.length)
    throw new UserError(`${at}: no label, expected the right choice; test splits without labels cannot be evaluated`);
  const texts = task.texts?.(row);
  return { row: { gold, lengths: choices.map(({ answer }) => lengthOf(answer)), ...(texts && { texts }) }, tokens };
}

async function textQuestions(
  task: AnswerTask,
  rows: Source<PlacedRow>,
  shots: FewShot | undefined,
  loading: TextLoading,
): Promise<GeneratedAnswers> {
  const maxNewTokens = newTokens(loading.maxLength);
  const maxLength = loading.maxLength - maxNewTokens;
  const encode = async ({ line, row, before }: PreparedRow): Promise<TextQuestion> => {
    const at = `${rows.path}:${line}`;
    const ids = await encodeContext(before + task.context(row), { ...loading, maxLength }, at);
    return { at, ids, expected: task.expected(row) };
  };
  const questions: TextQuestion[] = [];
  for await (const question of inOrder(prepared(rows, shots, loading.onBytes), encode)) questions.push(question);
  return { kind: 'answers', questions, maxNewTokens };
}
