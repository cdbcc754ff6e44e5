/** Room: data. Where a run's examples come from: a built-in task, or local files; encoded for the model at hand. */
import { basename, join } from 'node:path';
import { option, UserError } from '../engine/errors.ts';
import { exists } from '../engine/io/files.ts';
import type { OnBytes } from '../engine/io/load.ts';
import type { HeadKind, ModelConfig } from '../models/architecture.ts';
import { endTokens, savedHead } from '../models/config.ts';
import { loadChatFormat } from '../models/chat/chat-format.ts';
import { headOf } from '../models/heads.ts';
import { loadTokenizer } from '../models/tokenizer.ts';
import { hasPrompts, isForLanguage, isPlainText, readLanguageFile } from './lm/documents.ts';
import { encodeLanguageFile, encodeLanguageRows, type LanguageOptions } from './lm/encode.ts';
import { encodeQuestions } from './qa/encode.ts';
import { hasQuestion, readQuestions } from './qa/questions.ts';
import { parseOptions } from '../engine/options.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { dataOptionsSchema, type DataOptions } from './options.ts';
import {
  encodeChoices,
  encodeFile,
  encodeTexts,
  setTargets,
  type EncodedFile,
  type EncodeFileOptions,
} from './encode.ts';
import type { Examples } from './example-store.ts';
import { hasChoices, readExamples } from './examples.ts';
import {
  agreedNames,
  labelIndex,
  labelNames,
  labelSetNames,
  problemOf,
  type Label,
  type LabelFile,
  type Problem,
} from './labels.ts';
import { readRecords, type Fields } from './records.ts';
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
  readonly train: Examples;
  /** Empty where the user gave none. */
  readonly eval: Examples;
  /**
   * The same split as texts, for baselines that read words: files are read again. Absent where there are no classes or texts, or none to
   * evaluate.
   */
  readonly texts?: (() => Promise<LabelledTexts>) | undefined;
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
  const fields = await firstFields(path);
  if (isForLanguage(fields)) return 'causal-lm';
  if (hasQuestion(fields)) return 'question-answering';
  if (hasChoices(fields)) return 'multiple-choice';
  return fields.label === undefined ? undefined : 'classification';
}

async function firstFields(path: string): Promise<Fields['fields']> {
  for await (const { fields } of readRecords(path)) return fields;
  return {};
}

/** What a model at hand already has. */
interface KnownHead {
  readonly head: HeadKind;
  readonly labels: readonly string[];
  /** Its vocabulary may be larger than the checkpoint's. */
  readonly base?: { readonly config: Pick<ModelConfig, 'vocabSize'> } | undefined;
}

/** What data is encoded for. */
interface Encoding {
  readonly modelDir: string;
  readonly config: ModelConfig;
  readonly maxLength: number;
  readonly docStride: number;
  readonly onBytes: OnBytes | undefined;
}

/**
 * Loads and encodes data for the model of a checkpoint.
 * @param known head and class names, where the model at hand already has them
 * @param onBytes is told how much of each file has been read
 * @throws UserError where neither a task nor files are named, a file is wrong, or texts come without a tokenizer
 */
export async function loadData(
  checkpoint: Checkpoint,
  request: DataRequest,
  options: DataOptions = {},
  known?: KnownHead,
  onBytes?: OnBytes,
): Promise<DataSet> {
  const { dir: modelDir, config } = checkpoint.resized(known?.base?.config.vocabSize ?? 0);
  const { taskType, problemType, evalSplit, lossOn, ...lengths } = parseOptions(dataOptionsSchema, options);
  const { docStride } = lengths;
  const encoding = { modelDir, config, maxLength: Math.min(lengths.maxLength, config.maxTokens), docStride, onBytes };
  const head = known?.head ?? (await headOfData(request, taskType)) ?? savedHead(config) ?? 'classification';
  headOf(config, head);
  if (request.task !== undefined && head === 'classification')
    return loadBuiltIn(request, encoding, known?.labels, evalSplit);
  const files = filesOf(request);
  switch (head) {
    case 'causal-lm':
      return loadLanguage(files, encoding, lossOn);
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
  const limits = { maxLength, vocabSize: config.vocabSize };
  return {
    name: task.name,
    head: 'classification',
    labels: task.labels,
    train: await encodeTexts(task.train, tokenizer, limits, task.name),
    eval: await encodeTexts(test, tokenizer, limits, task.name),
    texts: () => Promise.resolve({ ...task, test }),
  };
}

async function loadLabelled(
  { name, train: trainPath, test: testPath }: Files,
  encoding: Encoding,
  asked: Problem | undefined,
  known: readonly string[] | undefined,
): Promise<DataSet> {
  const { config, onBytes } = encoding;
  const encodeOptions = await encodeOptionsOf(encoding);
  const encode = async (path: string | undefined): Promise<EncodedFile | undefined> =>
    path === undefined ? undefined : encodeFile(readExamples(path, { needLabel: true, onBytes }), encodeOptions);
  const [train, test] = [await encode(trainPath), await encode(testPath)];
  const labelled = (train ?? test)!.labels;
  const problem = problemOf(labelled, asked ?? problemOfModel(config, labelled, known));
  const labels = known ?? namesFor(problem, labelled, ownNames(config));
  checkOutputs(problem, labels, labelled.path);
  for (const file of [train, test]) if (file) setTargets(file, labels, problem);
  const isText = problem === 'single_label_classification' && train?.hasText && test?.hasText;
  const texts = async (): Promise<LabelledTexts> => ({
    labels,
    train: await textsOf(trainPath!, labels),
    test: await textsOf(testPath!, labels),
  });
  const examples = { train: train?.examples ?? [], eval: test?.examples ?? [] };
  return { name, head: 'classification', labels, ...examples, ...(isText && { texts }) };
}

/** A head of one output gives a number; a checkpoint says so too, where its labels are numbers. */
function problemOfModel(
  config: ModelConfig,
  { rows }: LabelFile,
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

function namesFor(problem: Problem, file: LabelFile, own: readonly string[]): readonly string[] {
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
  const options = await encodeOptionsOf(encoding);
  const { onBytes } = encoding;
  const encode = async (path: string | undefined): Promise<Examples> =>
    path === undefined ? [] : encodeChoices(readExamples(path, { needLabel: true, choices: true, onBytes }), options);
  return { name, head: 'multiple-choice', labels: [], train: await encode(train), eval: await encode(test) };
}

async function loadQuestions({ name, train, test }: Files, encoding: Encoding): Promise<DataSet> {
  const options = { ...encoding, ...(await encodeOptionsOf(encoding)) };
  const encode = async (path: string | undefined): Promise<Examples> => {
    if (path === undefined) return [];
    const rows = await encodeQuestions(readQuestions(path, true, encoding.onBytes), options);
    return rows.flatMap(({ windows }) => windows);
  };
  return { name, head: 'question-answering', labels: [], train: await encode(train), eval: await encode(test) };
}

function noData(): UserError {
  return new UserError(`No data: give ${option('task')}, or a file: ${option('train')} and ${option('eval')}`);
}

async function loadLanguage(
  { name, train, test }: Files,
  encoding: Encoding,
  lossOn: DataOptions['lossOn'],
): Promise<DataSet> {
  const { onBytes } = encoding;
  const options = { ...(await languageOptions(encoding)), lossOn };
  const encode = async (path: string | undefined): Promise<Examples> =>
    path === undefined ? [] : encodeLanguageFile(readLanguageFile(path, onBytes), options);
  return { name, head: 'causal-lm', labels: [], train: await encode(train), eval: await encode(test) };
}

async function languageOptions(encoding: Encoding): Promise<LanguageOptions> {
  const { tokenizer, ...limits } = await encodeOptionsOf(encoding);
  const endId = tokenizer?.eosId ?? endTokens(encoding.config)[0];
  return { ...limits, tokenizer, endId, chat: await loadChatFormat(encoding.modelDir) };
}

/** Rows to predict. */
export interface Rows {
  readonly examples: Examples;
  /** Line of the file that each is of; the choices, or windows, of a line are neighbours. */
  readonly lines: readonly number[];
}

/** Rows to predict; labels are optional. @throws UserError as `loadData` */
export async function loadRows(
  checkpoint: Checkpoint,
  path: string,
  { head, labels: names, base }: KnownHead,
  options: Pick<DataOptions, 'maxLength' | 'docStride'> = {},
  onBytes?: OnBytes,
): Promise<Rows> {
  const { dir: modelDir, config } = checkpoint.resized(base?.config.vocabSize ?? 0);
  const { maxLength: longest, docStride } = parseOptions(dataOptionsSchema, options);
  const encoding = { modelDir, config, maxLength: Math.min(longest, config.maxTokens), docStride, onBytes };
  const encodeOptions = await encodeOptionsOf(encoding);
  if (head === 'question-answering') {
    const rows = await encodeQuestions(readQuestions(path, false, onBytes), { ...encodeOptions, docStride });
    return {
      examples: rows.flatMap(({ windows }) => windows),
      lines: rows.flatMap(({ line, windows }) => windows.map(() => line)),
    };
  }
  if (head === 'causal-lm' && hasPrompts(await firstFields(path)))
    return encodeLanguageRows(readLanguageFile(path, onBytes), await languageOptions(encoding));
  const choices = head === 'multiple-choice';
  const keepPadding = headOf(config, head).reads === 'every-token';
  const rows = readExamples(path, { needLabel: false, choices, onBytes });
  const file = await encodeFile(rows, { ...encodeOptions, keepPadding });
  const { examples, labels } = file;
  if (head === 'classification') setTargets(file, names, problemOf(labels, problemOfModel(config, labels, names)));
  return { examples, lines: labels.lines };
}

/** The tokenizer is undefined where the model has none: it is missed when a text comes. */
async function encodeOptionsOf({ modelDir, config, maxLength }: Encoding): Promise<EncodeFileOptions> {
  const { vocabSize, typeVocabSize } = config;
  const hasTokenizer = await exists(join(modelDir, 'tokenizer.json'));
  const tokenizer = hasTokenizer ? await loadTokenizer(modelDir) : undefined;
  return { maxLength, vocabSize, typeVocabSize, tokenizer };
}

async function textsOf(path: string, labels: readonly string[]): Promise<Example[]> {
  const texts: Example[] = [];
  for await (const row of readExamples(path, { needLabel: true }).rows) {
    if (!('text' in row)) continue;
    const { text, textPair, label, line } = row;
    const index = labelIndex(label as Label, labels, `${path}:${line}`);
    texts.push({ text, ...(textPair !== undefined && { textPair }), label: index });
  }
  return texts;
}
