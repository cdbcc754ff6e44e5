/** Room: data. Where a run's examples come from: a built-in task, or local files; encoded for the model at hand. */
import { join } from 'node:path';
import type { z } from 'zod';
import { option, UserError } from '../engine/errors.ts';
import { exists } from '../engine/io/files.ts';
import type { OnBytes } from '../engine/io/load.ts';
import type { HeadKind, ModelConfig } from '../models/architecture.ts';
import { endTokens, savedHead } from '../models/config.ts';
import { loadChatFormat } from '../models/chat/chat-format.ts';
import { headOf } from '../models/heads.ts';
import { loadTokenizer } from '../models/tokenizer.ts';
import { hasPrompts, isForLanguage, isPlainText, readLanguageFile } from './lm/documents.ts';
import { encodeLanguageFile, encodeLanguageRows, needTokenizer, type LanguageOptions } from './lm/encode.ts';
import { ANSWER_DEFAULTS, type AnswerOptions } from './qa/answers.ts';
import { storeQuestions } from './qa/encode.ts';
import { hasQuestion, readQuestions } from './qa/questions.ts';
import type { WindowStore } from './qa/window-store.ts';
import { parseOptions } from '../engine/options.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { renamedFields } from './columns.ts';
import { dataOptionsSchema, MAX_LENGTH, type DataOptions } from './options.ts';
import { encodeChoices, encodeFile, setTargets, type EncodedFile, type EncodeFileOptions } from './encode.ts';
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
import type { Fields } from './records.ts';
import type { MetricName } from './metrics.ts';
import { assertPackable, withPacking } from './packing.ts';
import {
  requestedData,
  requestedTask,
  taskOf,
  type DataRequest,
  type RequestedData,
  type RequestedTask,
} from './request.ts';
import { itemsOf, mapped, sourceOf, type RecordSource, type Source } from './record-source.ts';
import type { Example } from './tasks/built-in.ts';
import { submissionLines, taskFigures, type Outcome } from './tasks/figures.ts';
import { exampleSource, labelledSource, type PlacedRow } from './tasks/split-source.ts';
import type { Task, TaskRow } from './tasks/task.ts';
import { loadTextData, type JudgedText, type TextData } from './text/load.ts';
import { textTaskNamed } from './text/text-tasks.ts';

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
  /** Rows of the data that these are of: a question may have several examples. */
  readonly rows: { readonly train: number; readonly eval: number };
  /** Official figures of a task from the scores of `eval`, in its order; absent for files. */
  readonly figures?: ((scores: readonly Float32Array[]) => TaskFigures) | undefined;
  /** Of questions on texts: which answers there may be. */
  readonly answers?: AnswerOptions | undefined;
  /** Of a task as text: how `eval` is judged. */
  readonly text?: JudgedText | undefined;
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

/** Figures that a task names. */
export type TaskFigures = Partial<Record<MetricName, number>>;

/**
 * The head that data is for: the one asked for, else the one that a built-in task or a file's columns tell; undefined where they
 * could be for several.
 */
export async function headOfData(
  request: DataRequest,
  { taskType, columns, as, numFewshot }: Pick<DataOptions, 'taskType' | 'columns' | 'as' | 'numFewshot'> = {},
): Promise<HeadKind | undefined> {
  assertText(request, { taskType, as, numFewshot });
  if (as === 'text') return 'causal-lm';
  if (taskType !== undefined) return TASK_HEADS[taskType];
  const task = taskOf(request);
  if (task) return task.head;
  const [file] = [request.train ?? request.eval ?? []].flat();
  return file === undefined ? undefined : headOfFile(file, columns);
}

/** By the columns of a file's first line. */
async function headOfFile(path: string, columns: DataOptions['columns']): Promise<HeadKind | undefined> {
  if (isPlainText(path)) return 'causal-lm';
  const found = await firstFields(path);
  const fields = columns ? renamedFields(found, columns) : found;
  if (isForLanguage(fields)) return 'causal-lm';
  if (hasQuestion(fields)) return 'question-answering';
  if (hasChoices(fields)) return 'multiple-choice';
  return fields.label === undefined ? undefined : 'classification';
}

async function firstFields(given: string | RecordSource): Promise<Fields['fields']> {
  for await (const { fields } of itemsOf(sourceOf(given))) return fields;
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
 * @throws UserError where neither a task nor files are named, a file is wrong, texts come without a tokenizer, or what is no text for a
 * language model is to be packed
 */
export async function loadData(
  checkpoint: Checkpoint,
  request: DataRequest,
  options: DataOptions = {},
  known?: KnownHead,
  onBytes?: OnBytes,
): Promise<DataSet> {
  const { dir: modelDir, config } = checkpoint.resized(known?.base?.config.vocabSize ?? 0);
  const parsed = parseOptions(dataOptionsSchema, options);
  const { problemType, docStride, as, numFewshot = 0 } = parsed;
  const { maxLength = as === 'text' ? Infinity : MAX_LENGTH } = parsed;
  const encoding = { modelDir, config, maxLength: Math.min(maxLength, config.maxTokens), docStride, onBytes };
  assertText(request, parsed);
  const head = known?.head ?? (await headOfData(request, parsed)) ?? savedHead(config) ?? 'classification';
  headOf(config, head);
  assertPackable(head, parsed);
  const task = taskOf(request);
  const packed = (data: DataSet): DataSet => withPacking(data, parsed, encoding.maxLength);
  if (task && as === 'text') {
    const rows = await requestedTask(task, request, parsed);
    return packed(await loadText(rows, encoding, { numFewshot, evalOnly: request.evalOnly }));
  }
  const answers = head === 'question-answering' ? answerOptions(parsed, task) : undefined;
  if (task)
    return {
      ...(await loadTaskData(await requestedTask(task, request, parsed), head, encoding, known?.labels)),
      answers,
    };
  const files = await requestedData(request, parsed);
  switch (head) {
    case 'causal-lm':
      return packed(await loadLanguage(files, encoding, parsed.lossOn));
    case 'question-answering':
      return { ...(await loadQuestions(files, encoding)), answers };
    case 'multiple-choice':
      return loadChoices(files, encoding);
    case 'classification':
    case 'masked-lm':
      return loadLabelled(files, encoding, { asked: problemType, known: known?.labels, file: files.labels });
  }
}

/** What is asked of answers; of a task whose questions may have none, that is among them unless asked otherwise. */
function answerOptions(asked: z.output<typeof dataOptionsSchema>, task: Task | undefined): AnswerOptions {
  const { maxAnswerLength, nullThreshold } = asked;
  const allowEmptyAnswer = asked.allowEmptyAnswer ?? task?.mayHaveNoAnswer ?? ANSWER_DEFAULTS.allowEmptyAnswer;
  return { maxAnswerLength, nullThreshold, allowEmptyAnswer };
}

/** @throws UserError where options of tasks as text are given for other data */
function assertText(
  request: DataRequest,
  { as, numFewshot = 0, taskType }: Pick<DataOptions, 'as' | 'numFewshot' | 'taskType'>,
): void {
  if (as === 'text' && request.task === undefined)
    throw new UserError(`${option('as')} text: is for tasks; name one with ${option('task')}`);
  if (as === 'text' && taskType !== undefined && taskType !== 'CAUSAL_LM')
    throw new UserError(`${option('as')} text: is for language models; leave out ${option('taskType')} ${taskType}`);
  if (as !== 'text' && numFewshot > 0)
    throw new UserError(`${option('numFewshot')}: is for tasks as text; add ${option('as')} text`);
}

/** A task as text, for a language model. */
async function loadText(
  { task, ...rows }: RequestedTask,
  encoding: Encoding,
  choice: Pick<TextData, 'numFewshot' | 'evalOnly'>,
): Promise<DataSet> {
  const { tokenizer, ...options } = await encodeOptionsOf(encoding);
  const endId = tokenizer?.eosId ?? endTokens(encoding.config)[0];
  const { onBytes } = encoding;
  const loading = { ...options, tokenizer: needTokenizer(tokenizer, task.name), endId, onBytes };
  const {
    text,
    rows: counts,
    ...examples
  } = await loadTextData(textTaskNamed(task.name), { ...rows, ...choice }, loading);
  return dataSet(task.name, 'causal-lm', [], examples, { rows: counts, text });
}

/** The examples of a task, for the head that it has. */
async function loadTaskData(
  { task, ...rows }: RequestedTask,
  head: HeadKind,
  encoding: Encoding,
  known: readonly string[] | undefined,
): Promise<DataSet> {
  checkHead(task, head);
  const keys: TaskRow[] = [];
  const onRow = task.key && ((row: TaskRow) => void keys.push(task.key!(row)));
  const counts = { train: 0, eval: 0 };
  const counted = (side: keyof typeof counts): Source<PlacedRow> =>
    mapped(rows[side]!, (row) => {
      counts[side]++;
      return [row];
    });
  const data = {
    name: task.name,
    ...(rows.train && { train: labelledSource(task, counted('train')) }),
    ...(rows.eval && { eval: labelledSource(task, counted('eval'), onRow) }),
  };
  if (head === 'question-answering') return loadQuestions(data, encoding);
  if (head === 'multiple-choice') return withFigures(await loadChoices(data, encoding), task, keys, counts);
  const labels = namesOfTask(task, known, encoding.config);
  return withFigures(await loadLabelled(data, encoding, { labels }), task, keys, counts);
}

/** @throws UserError where the model's head is not the one that learns the task */
function checkHead({ name, head }: Task, found: HeadKind): void {
  if (found === head) return;
  throw new UserError(`${option('task')} ${name}: is for a head for ${head}, the model has one for ${found}`);
}

/** A task's class names, as the model has them where it means the same classes. @throws UserError where it has others */
function namesOfTask(task: Task, known: readonly string[] | undefined, config: ModelConfig): readonly string[] {
  const labels = agreedNames(task.labels, known ?? ownNames(config)) ?? task.labels;
  if (!known || labels.length === known.length) return labels;
  const found = `the model tells apart ${known.join(', ')}`;
  throw new UserError(`${option('task')} ${task.name}: ${found}, expected ${task.labels.join(', ')}`);
}

/** @param read keys and numbers of the rows so far; reading again for `texts` adds to them */
function withFigures(data: DataSet, task: Task, read: readonly TaskRow[], counts: DataSet['rows']): DataSet {
  const keys = [...read];
  return { ...data, rows: { ...counts }, figures: (scores) => taskFigures(task, keys, { ...data, scores }) };
}

/** What is known of labels beside the data: a task's names, or what is asked for, what the model at hand has, and what the file says. */
interface KnownLabels {
  readonly labels?: readonly string[];
  readonly file?: readonly string[] | undefined;
  readonly asked?: Problem | undefined;
  readonly known?: readonly string[] | undefined;
}

async function loadLabelled(
  data: RequestedData,
  encoding: Encoding,
  { labels: named, asked, known, file }: KnownLabels,
): Promise<DataSet> {
  const { config, onBytes } = encoding;
  const encodeOptions = await encodeOptionsOf(encoding);
  const encode = async (source: RecordSource | undefined): Promise<EncodedFile | undefined> =>
    source && encodeFile(readExamples(source, { needLabel: true, onBytes }), encodeOptions);
  const [train, test] = [await encode(data.train), await encode(data.eval)];
  const labelled = (train ?? test)!.labels;
  const problem = named ? problemOfNames(named) : problemOf(labelled, asked ?? problemOfModel(config, labelled, known));
  const labels = named ?? known ?? namesFor(problem, labelled, ownNames(config), file);
  checkOutputs(problem, labels, labelled.path);
  for (const file of [train, test]) if (file) setTargets(file, labels, problem);
  const isText = problem === 'single_label_classification' && train?.hasText && test?.hasText;
  const texts = async (): Promise<LabelledTexts> => ({
    labels,
    train: await textsOf(data.train!, labels),
    test: await textsOf(data.eval!, labels),
  });
  const examples = { train: train?.examples ?? [], eval: test?.examples ?? [] };
  return dataSet(data.name, 'classification', labels, examples, isText ? { texts } : {});
}

function dataSet(
  name: string,
  head: HeadKind,
  labels: readonly string[],
  examples: Pick<DataSet, 'train' | 'eval'>,
  more: Partial<DataSet> = {},
): DataSet {
  return {
    name,
    head,
    labels,
    ...examples,
    rows: { train: examples.train.length, eval: examples.eval.length },
    ...more,
  };
}

/** Of a task: one name is that of a number. */
function problemOfNames(labels: readonly string[]): Problem {
  return labels.length === 1 ? 'regression' : 'single_label_classification';
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

function namesFor(
  problem: Problem,
  file: LabelFile,
  own: readonly string[],
  named: readonly string[] | undefined,
): readonly string[] {
  if (problem === 'regression') return ['value'];
  const found = problem === 'multi_label_classification' ? labelSetNames(file) : (named ?? labelNames(file, own));
  return agreedNames(found, own) ?? found;
}

/** Class names of a checkpoint's own head; none where it is no classifier. */
function ownNames(config: ModelConfig): readonly string[] {
  return savedHead(config) === 'classification' ? config.labels : [];
}

/** @throws UserError where a head gives a number and classes are asked for, or the other way round */
function checkOutputs(problem: Problem, labels: readonly string[], path: string): void {
  if ((problem === 'regression') === (labels.length === 1)) return;
  const has = labels.length === 1 ? 'one output, for a number' : `${labels.length} outputs, for classes`;
  throw new UserError(`${path}: the labels are for ${problem}, but the model's head has ${has}`);
}

async function loadChoices(data: RequestedData, encoding: Encoding): Promise<DataSet> {
  const options = await encodeOptionsOf(encoding);
  const { onBytes } = encoding;
  const encode = async (source: RecordSource | undefined): Promise<Examples> =>
    source ? encodeChoices(readExamples(source, { needLabel: true, choices: true, onBytes }), options) : [];
  return dataSet(data.name, 'multiple-choice', [], { train: await encode(data.train), eval: await encode(data.eval) });
}

async function loadQuestions(data: RequestedData, encoding: Encoding): Promise<DataSet> {
  const options = { ...encoding, ...(await encodeOptionsOf(encoding)) };
  const encode = async (source: RecordSource | undefined): Promise<WindowStore | undefined> =>
    source && storeQuestions(readQuestions(source, true, encoding.onBytes), options);
  const [train, test] = [await encode(data.train), await encode(data.eval)];
  const rows = { train: train?.firsts.length ?? 0, eval: test?.firsts.length ?? 0 };
  return dataSet(data.name, 'question-answering', [], { train: train ?? [], eval: test ?? [] }, { rows });
}

async function loadLanguage(data: RequestedData, encoding: Encoding, lossOn: DataOptions['lossOn']): Promise<DataSet> {
  const { onBytes } = encoding;
  const options = { ...(await languageOptions(encoding)), lossOn };
  const encode = async (source: RecordSource | undefined): Promise<Examples> =>
    source ? encodeLanguageFile(readLanguageFile(source, onBytes), options) : [];
  return dataSet(data.name, 'causal-lm', [], { train: await encode(data.train), eval: await encode(data.eval) });
}

async function languageOptions(encoding: Encoding): Promise<LanguageOptions> {
  const { tokenizer, ...limits } = await encodeOptionsOf(encoding);
  const endId = tokenizer?.eosId ?? endTokens(encoding.config)[0];
  return { ...limits, tokenizer, endId, chat: await loadChatFormat(encoding.modelDir) };
}

/** Rows to predict. */
export interface Rows {
  /** The task's name, or the file's without its folders. */
  readonly name: string;
  readonly examples: Examples;
  /** Place of the first example of each row; its other choices, or windows, follow. */
  readonly firsts: readonly number[];
  /** Lines of a task's submission, from the outcome of every row; absent for files and for tasks without one. */
  readonly submission?: ((outcomes: readonly Outcome[]) => readonly string[]) | undefined;
  /** Of questions on texts: which answers there may be. */
  readonly answers?: AnswerOptions | undefined;
}

/**
 * Rows to predict: those that would be evaluated; labels are optional.
 * @throws UserError as `loadData`
 */
export async function loadRows(
  checkpoint: Checkpoint,
  given: DataRequest,
  { head, labels, base }: KnownHead,
  options: DataOptions = {},
  onBytes?: OnBytes,
): Promise<Rows> {
  const { dir: modelDir, config } = checkpoint.resized(base?.config.vocabSize ?? 0);
  const parsed = parseOptions(dataOptionsSchema, options);
  const { docStride, maxLength: longest = MAX_LENGTH } = parsed;
  const encoding = { modelDir, config, maxLength: Math.min(longest, config.maxTokens), docStride, onBytes };
  const request = { ...given, evalOnly: true };
  const task = taskOf(request);
  const answers = head === 'question-answering' ? answerOptions(parsed, task) : undefined;
  if (!task) {
    const { name, eval: source } = await requestedData(request, parsed);
    return { name, answers, ...(await encodeRows(source!, head, encoding, labels)) };
  }
  checkHead(task, head);
  const { eval: rows } = await requestedTask(task, request, parsed);
  const keys: TaskRow[] = [];
  const source = exampleSource(task, rows!, (row) => task.key && keys.push(task.key(row)));
  const names = task.head === 'classification' ? namesOfTask(task, labels, config) : [];
  const submission = (outcomes: readonly Outcome[]): readonly string[] => submissionLines(task, keys, names, outcomes);
  return {
    name: task.name,
    answers,
    ...(await encodeRows(source, head, encoding, names)),
    ...(task.submission && { submission }),
  };
}

async function encodeRows(
  source: RecordSource,
  head: HeadKind,
  encoding: Encoding,
  names: readonly string[],
): Promise<Pick<Rows, 'examples' | 'firsts'>> {
  const { config, docStride, onBytes } = encoding;
  const encodeOptions = await encodeOptionsOf(encoding);
  if (head === 'question-answering') {
    const examples = await storeQuestions(readQuestions(source, false, onBytes), { ...encodeOptions, docStride });
    return { examples, firsts: examples.firsts };
  }
  if (head === 'causal-lm' && hasPrompts(await firstFields(source))) {
    const examples = await encodeLanguageRows(readLanguageFile(source, onBytes), await languageOptions(encoding));
    return { examples, firsts: Array.from(examples, (_, i) => i) };
  }
  const choices = head === 'multiple-choice';
  const keepPadding = headOf(config, head).reads === 'every-token';
  const rows = readExamples(source, { needLabel: false, choices, onBytes });
  const file = await encodeFile(rows, { ...encodeOptions, keepPadding });
  const { examples, labels, firsts } = file;
  if (head === 'classification') setTargets(file, names, problemOf(labels, problemOfModel(config, labels, names)));
  return { examples, firsts };
}

/** The tokenizer is undefined where the model has none: it is missed when a text comes. */
async function encodeOptionsOf({ modelDir, config, maxLength }: Encoding): Promise<EncodeFileOptions> {
  const { vocabSize, typeVocabSize } = config;
  const hasTokenizer = await exists(join(modelDir, 'tokenizer.json'));
  const tokenizer = hasTokenizer ? await loadTokenizer(modelDir) : undefined;
  return { maxLength, vocabSize, typeVocabSize, tokenizer };
}

async function textsOf(source: RecordSource, labels: readonly string[]): Promise<Example[]> {
  const texts: Example[] = [];
  for await (const row of readExamples(source, { needLabel: true }).rows) {
    if (!('text' in row)) continue;
    const { text, textPair, label, line } = row;
    const index = labelIndex(label as Label, labels, `${source.path}:${line}`);
    texts.push({ text, ...(textPair !== undefined && { textPair }), label: index });
  }
  return texts;
}
