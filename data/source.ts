/** Room: data. Where a run's examples come from: a built-in task, or local files; encoded for the model at hand. */
import { basename, join } from 'node:path';
import { option, UserError } from '../engine/errors.ts';
import { exists } from '../engine/io/files.ts';
import type { HeadKind, ModelConfig } from '../models/architecture.ts';
import { endTokens, savedHead } from '../models/config.ts';
import { headOf } from '../models/heads.ts';
import { loadTokenizer, type TextTokenizer } from '../models/tokenizer.ts';
import { isForLanguage, isPlainText, readLanguageFile } from './lm/documents.ts';
import { encodeLanguageFile } from './lm/encode.ts';
import { encodeQuestions } from './qa/encode.ts';
import { hasQuestion, readQuestions, type QuestionFile } from './qa/questions.ts';
import { parseOptions } from '../engine/options.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { dataOptionsSchema, type DataOptions } from './options.ts';
import { encodeChoices, encodeFile, encodeTexts, type EncodedExample } from './encode.ts';
import { hasChoices, readExamples, readRecords, type ExampleFile, type Fields, type Label } from './examples.ts';
import { agreedNames, labelIndex, labelNames, labelSetNames, problemOf, type Problem } from './labels.ts';
import { loadTask, type Example, type TaskData } from './tasks.ts';

/** What the user named: a task, or files. */
export interface DataRequest {
  readonly task?: string | undefined;
  readonly train?: string | undefined;
  readonly eval?: string | undefined;
}

/** Texts with class indices. */
export interface LabelledTexts {
  readonly labels: readonly string[];
  readonly train: readonly Example[];
  readonly test: readonly Example[];
}

/** Encoded training and evaluation data, with the head that they are for. */
export interface DataSet {
  /** The task's name, or the training file's without its folders. */
  readonly name: string;
  readonly head: HeadKind;
  /** Class names; one for a number to predict, none where the head's outputs are no classes. */
  readonly labels: readonly string[];
  readonly train: readonly EncodedExample[];
  /** Empty where the user gave none. */
  readonly eval: readonly EncodedExample[];
  /** The same split as texts, for baselines that read words; absent where there are no classes or texts, or none to evaluate. */
  readonly texts?: (() => LabelledTexts) | undefined;
}

const TASK_HEADS: Readonly<Record<NonNullable<DataOptions['taskType']>, HeadKind>> = {
  SEQ_CLS: 'classification',
  CAUSAL_LM: 'causal-lm',
  QUESTION_ANS: 'question-answering',
  MULTIPLE_CHOICE: 'multiple-choice',
};

/**
 * The head that data is for: the one asked for, else the one that a built-in task or a file's columns tell; undefined where they
 * could be for several.
 */
export async function headOfData(
  { task, train, eval: test }: DataRequest,
  taskType?: DataOptions['taskType'],
): Promise<HeadKind | undefined> {
  if (taskType !== undefined) return TASK_HEADS[taskType];
  if (task !== undefined) return 'classification';
  const file = train ?? test;
  return file === undefined ? undefined : headOfFile(file);
}

/** By the columns of a file's first line. */
async function headOfFile(path: string): Promise<HeadKind | undefined> {
  if (isPlainText(path)) return 'causal-lm';
  const fields: Fields['fields'] = (await readRecords(path))[0]?.fields ?? {};
  if (isForLanguage(fields)) return 'causal-lm';
  if (hasQuestion(fields)) return 'question-answering';
  if (hasChoices(fields)) return 'multiple-choice';
  return fields.label === undefined ? undefined : 'classification';
}

/** What a model at hand already has. */
interface KnownHead {
  readonly head: HeadKind;
  readonly labels: readonly string[];
}

/** What data is encoded for. */
interface Encoding {
  readonly modelDir: string;
  readonly config: ModelConfig;
  readonly maxLength: number;
  readonly docStride: number;
}

/**
 * Loads and encodes data for the model of a checkpoint.
 * @param known head and class names, where the model at hand already has them
 * @throws UserError where neither a task nor files are named, a file is wrong, or texts come without a tokenizer
 */
export async function loadData(
  { dir: modelDir, config }: Checkpoint,
  request: DataRequest,
  options: DataOptions = {},
  known?: KnownHead,
): Promise<DataSet> {
  const { taskType, problemType, evalSplit, ...lengths } = parseOptions(dataOptionsSchema, options);
  const { docStride } = lengths;
  const encoding = { modelDir, config, maxLength: Math.min(lengths.maxLength, config.maxTokens), docStride };
  const head = known?.head ?? (await headOfData(request, taskType)) ?? savedHead(config) ?? 'classification';
  headOf(config, head);
  if (request.task !== undefined && head === 'classification')
    return loadBuiltIn(request, encoding, known?.labels, evalSplit);
  const files = filesOf(request);
  switch (head) {
    case 'causal-lm':
      return loadLanguage(files, encoding);
    case 'question-answering':
      return loadQuestions(files, encoding);
    case 'multiple-choice':
      return loadChoices(files, encoding);
    case 'classification':
    case 'masked-lm':
      return loadLabelled(files, encoding, problemType, known?.labels);
  }
}

interface Files {
  readonly name: string;
  readonly train: string | undefined;
  readonly test: string | undefined;
}

function filesOf({ task, train, eval: test }: DataRequest): Files {
  if (task !== undefined)
    throw new UserError(`${option('task')} ${task}: has classes to tell apart; other heads learn from files`);
  const name = train ?? test;
  if (name === undefined) throw noData();
  return { name: basename(name), train, test };
}

async function loadBuiltIn(
  request: DataRequest,
  { modelDir, config, maxLength }: Encoding,
  known: readonly string[] | undefined,
  evalSplit: 'test' | 'validation',
): Promise<DataSet> {
  if (request.train !== undefined) throw new UserError(`${option('task')} and ${option('train')}: give one of them`);
  const found = await loadTask(request.task as string);
  const task = reordered(found, known ?? agreedNames(found.labels, ownNames(config)) ?? found.labels);
  const tokenizer = await loadTokenizer(modelDir);
  const test = task[evalSplit];
  return {
    name: task.name,
    head: 'classification',
    labels: task.labels,
    train: await encodeTexts(task.train, tokenizer, maxLength),
    eval: await encodeTexts(test, tokenizer, maxLength),
    texts: () => ({ ...task, test }),
  };
}

async function loadLabelled(
  { name, train: trainPath, test: testPath }: Files,
  { modelDir, config, maxLength }: Encoding,
  asked: Problem | undefined,
  known: readonly string[] | undefined,
): Promise<DataSet> {
  const train = trainPath === undefined ? undefined : await readExamples(trainPath, { needLabel: true });
  const test = testPath === undefined ? undefined : await readExamples(testPath, { needLabel: true });
  const labelled = (train ?? test) as ExampleFile;
  const problem = problemOf(labelled, asked ?? problemOfModel(config, labelled, known));
  const labels = known ?? namesFor(problem, labelled, ownNames(config));
  checkOutputs(problem, labels, labelled.path);
  const tokenizer = await tokenizerFor([train, test], modelDir);
  const { vocabSize, typeVocabSize } = config;
  const options = { labels, problem, maxLength, vocabSize, typeVocabSize, tokenizer };
  const encode = async (file: ExampleFile | undefined): Promise<EncodedExample[]> =>
    file ? encodeFile(file, options) : [];
  const texts = problem === 'single_label_classification' ? textsOf(train, test, labels) : undefined;
  const encoded = { train: await encode(train), eval: await encode(test) };
  return { name, head: 'classification', labels, ...encoded, texts };
}

/** A head of one output gives a number; a checkpoint says so too, where its labels are numbers. */
function problemOfModel(
  config: ModelConfig,
  { rows }: ExampleFile,
  known: readonly string[] | undefined,
): Problem | undefined {
  if (known) {
    const isSet = rows.some(({ label }) => typeof label === 'object');
    return known.length === 1 ? 'regression' : isSet ? undefined : 'single_label_classification';
  }
  const regresses = config.problemType === 'regression' || config.labels.length === 1;
  const areNumbers = rows.every(({ label }) => typeof label === 'number');
  return savedHead(config) === 'classification' && regresses && areNumbers ? 'regression' : undefined;
}

function namesFor(problem: Problem, file: ExampleFile, own: readonly string[]): readonly string[] {
  if (problem === 'regression') return ['value'];
  const found = problem === 'multi_label_classification' ? labelSetNames(file) : labelNames(file, own);
  return agreedNames(found, own) ?? found;
}

/** Class names of a checkpoint's own head; none where it is no classifier. */
function ownNames(config: ModelConfig): readonly string[] {
  return savedHead(config) === 'classification' ? config.labels : [];
}

/** A built-in task with its classes in another order. */
function reordered(task: TaskData, labels: readonly string[]): TaskData {
  const index = task.labels.map((name) => (labels.includes(name) ? labels.indexOf(name) : task.labels.indexOf(name)));
  const moved = (examples: readonly Example[]): Example[] =>
    examples.map((example) => ({ ...example, label: index[example.label]! }));
  const { train, validation, test } = task;
  return { ...task, labels, train: moved(train), validation: moved(validation), test: moved(test) };
}

/** @throws UserError where a head gives a number and classes are asked for, or the other way round */
function checkOutputs(problem: Problem, labels: readonly string[], path: string): void {
  if ((problem === 'regression') === (labels.length === 1)) return;
  const has = labels.length === 1 ? 'one output, for a number' : `${labels.length} outputs, for classes`;
  throw new UserError(`${path}: the labels are for ${problem}, but the model's head has ${has}`);
}

async function loadChoices({ name, train, test }: Files, encoding: Encoding): Promise<DataSet> {
  const encode = async (path: string | undefined): Promise<EncodedExample[]> => {
    if (path === undefined) return [];
    const file = await readExamples(path, { needLabel: true, choices: true });
    const { maxLength, config, modelDir } = encoding;
    const { vocabSize, typeVocabSize } = config;
    return encodeChoices(file, {
      maxLength,
      vocabSize,
      typeVocabSize,
      tokenizer: await tokenizerFor([file], modelDir),
    });
  };
  return { name, head: 'multiple-choice', labels: [], train: await encode(train), eval: await encode(test) };
}

async function loadQuestions({ name, train, test }: Files, encoding: Encoding): Promise<DataSet> {
  const encode = async (path: string | undefined): Promise<EncodedExample[]> =>
    path === undefined ? [] : (await encodeQuestionFile(await readQuestions(path, true), encoding)).flat();
  return { name, head: 'question-answering', labels: [], train: await encode(train), eval: await encode(test) };
}

async function encodeQuestionFile(
  file: QuestionFile,
  { modelDir, config, ...limits }: Encoding,
): Promise<EncodedExample[][]> {
  const tokenizer = file.rows.some((row) => !('inputIds' in row)) ? await loadTokenizer(modelDir) : undefined;
  const { vocabSize, typeVocabSize } = config;
  return encodeQuestions(file, { ...limits, vocabSize, typeVocabSize, tokenizer });
}

function noData(): UserError {
  return new UserError(`No data: give ${option('task')}, or a file: ${option('train')} and ${option('eval')}`);
}

async function loadLanguage({ name, train, test }: Files, { modelDir, config, maxLength }: Encoding): Promise<DataSet> {
  const tokenizer = (await exists(join(modelDir, 'tokenizer.json'))) ? await loadTokenizer(modelDir) : undefined;
  const endId = tokenizer?.eosId ?? endTokens(config)[0];
  const options = { tokenizer, maxLength, vocabSize: config.vocabSize, endId };
  const encode = async (path: string | undefined): Promise<EncodedExample[]> =>
    path === undefined ? [] : encodeLanguageFile(await readLanguageFile(path), options);
  return { name, head: 'causal-lm', labels: [], train: await encode(train), eval: await encode(test) };
}

/** Rows to predict. */
export interface Rows {
  readonly examples: readonly EncodedExample[];
  /** Line of the file that each is of; the choices, or windows, of a line are neighbours. */
  readonly lines: readonly number[];
}

/** Rows to predict; labels are optional. @throws UserError as `loadData` */
export async function loadRows(
  { dir: modelDir, config }: Checkpoint,
  path: string,
  { head, labels }: KnownHead,
  options: Pick<DataOptions, 'maxLength' | 'docStride'> = {},
): Promise<Rows> {
  const { maxLength: longest, docStride } = parseOptions(dataOptionsSchema, options);
  const maxLength = Math.min(longest, config.maxTokens);
  if (head === 'question-answering') {
    const file = await readQuestions(path, false);
    const windows = await encodeQuestionFile(file, { modelDir, config, maxLength, docStride });
    return { examples: windows.flat(), lines: windows.flatMap((of, i) => of.map(() => file.rows[i]!.line)) };
  }
  const file = await readExamples(path, { needLabel: false, choices: head === 'multiple-choice' });
  const tokenizer = await tokenizerFor([file], modelDir);
  const examples = await encodeFile(file, {
    labels: head === 'classification' ? labels : undefined,
    problem: problemOf(file, problemOfModel(config, file, labels)),
    maxLength,
    vocabSize: config.vocabSize,
    typeVocabSize: config.typeVocabSize,
    keepPadding: headOf(config, head).reads === 'every-token',
    tokenizer,
  });
  return { examples, lines: file.rows.map(({ line }) => line) };
}

/** The model's tokenizer, where any file holds text. */
async function tokenizerFor(
  files: readonly (ExampleFile | undefined)[],
  modelDir: string,
): Promise<TextTokenizer | undefined> {
  const texts = files.some((file) => file?.rows.some((row) => 'text' in row));
  return texts ? loadTokenizer(modelDir) : undefined;
}

function textsOf(
  train: ExampleFile | undefined,
  test: ExampleFile | undefined,
  labels: readonly string[],
): DataSet['texts'] {
  const trainTexts = train && asTexts(train, labels);
  const testTexts = test && asTexts(test, labels);
  return trainTexts && testTexts ? () => ({ labels, train: trainTexts, test: testTexts }) : undefined;
}

function asTexts({ path, rows }: ExampleFile, labels: readonly string[]): Example[] | undefined {
  const texts = rows.flatMap((row) => ('text' in row ? [row] : []));
  if (texts.length < rows.length) return undefined;
  return texts.map(({ text, textPair, label, line }) => ({
    text,
    ...(textPair !== undefined && { textPair }),
    label: labelIndex(label as Label, labels, `${path}:${line}`),
  }));
}
