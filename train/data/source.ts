/** Room: train. Where a run's examples come from: a built-in task, or local files; encoded for the model at hand. */
import { join } from 'node:path';
import { UserError } from '../../engine/errors.ts';
import { exists } from '../../engine/io/files.ts';
import type { HeadKind, ModelConfig } from '../../models/architecture.ts';
import { endTokens, savedHead } from '../../models/config.ts';
import { headOf } from '../../models/heads.ts';
import { loadTokenizer, type TextTokenizer } from '../../models/tokenizer.ts';
import { runBaseline, type BaselineResult } from '../baseline/tfidf.ts';
import { isLanguageFile, readLanguageFile } from '../lm/documents.ts';
import { encodeLanguageFile } from '../lm/encode.ts';
import type { Settings } from '../settings.ts';
import { encodeFile, encodeTexts, type EncodedExample } from './encode.ts';
import { readExamples, type ExampleFile, type Label } from './examples.ts';
import { labelIndex, labelNames } from './labels.ts';
import { loadTask, type Example } from './tasks.ts';

/** What the user named: a task, or files. */
export interface DataRequest {
  readonly task?: string;
  readonly train?: string;
  readonly eval?: string;
}

export interface DataSet {
  /** The task's name, or the training file's. */
  readonly name: string;
  readonly head: 'classification' | 'causal-lm';
  /** Class names; none for language models. */
  readonly labels: readonly string[];
  readonly train: readonly EncodedExample[];
  /** Empty where the user gave none. */
  readonly eval: readonly EncodedExample[];
  /** TF-IDF and logistic regression on the same split; absent where the data is tokenised already or there is none to evaluate. */
  readonly baseline?: () => BaselineResult;
}

/**
 * The head that data is for: the one asked for, else the one that a built-in task or a file's columns tell; undefined where they
 * could be for either.
 */
export async function headOfData(
  { task, train, eval: test }: DataRequest,
  taskType: Settings['taskType'],
): Promise<DataSet['head'] | undefined> {
  if (taskType !== undefined) return taskType === 'CAUSAL_LM' ? 'causal-lm' : 'classification';
  const file = train ?? test;
  if (task !== undefined || file === undefined) return task === undefined ? undefined : 'classification';
  const forLanguage = await isLanguageFile(file);
  return forLanguage === undefined ? undefined : forLanguage ? 'causal-lm' : 'classification';
}

/** What a model at hand already has. */
interface KnownHead {
  readonly head: HeadKind;
  readonly labels: readonly string[];
}

/**
 * Loads and encodes data.
 * @param known head and class names, where the model at hand already has them
 * @throws UserError where neither a task nor files are named, a file is wrong, or texts come without a tokenizer
 */
export async function loadData(
  request: DataRequest,
  modelDir: string,
  config: ModelConfig,
  settings: Pick<Settings, 'maxLength' | 'evalSplit' | 'taskType'>,
  known?: KnownHead,
): Promise<DataSet> {
  const maxLength = Math.min(settings.maxLength, config.maxTokens);
  const head = known?.head ?? (await headOfData(request, settings.taskType)) ?? savedHead(config);
  if (head === 'causal-lm') return loadLanguage(request, modelDir, config, maxLength);
  if (request.task !== undefined) {
    if (request.train !== undefined) throw new UserError('--task and --train: give one of them');
    const task = await loadTask(request.task);
    const tokenizer = await loadTokenizer(modelDir);
    const test = task[settings.evalSplit];
    return {
      name: task.name,
      head: 'classification',
      labels: task.labels,
      train: encodeTexts(task.train, tokenizer, maxLength),
      eval: encodeTexts(test, tokenizer, maxLength),
      baseline: () => runBaseline({ ...task, test }),
    };
  }
  if (request.train === undefined && request.eval === undefined) throw noData();
  const train = request.train === undefined ? undefined : await readExamples(request.train, { needLabel: true });
  const test = request.eval === undefined ? undefined : await readExamples(request.eval, { needLabel: true });
  const labels = known?.labels ?? labelNames((train ?? test) as ExampleFile);
  const tokenizer = await tokenizerFor([train, test], modelDir);
  const { vocabSize, typeVocabSize } = config;
  const options = { labels, maxLength, vocabSize, typeVocabSize, tokenizer };
  const encode = (file: ExampleFile | undefined): EncodedExample[] => (file ? encodeFile(file, options) : []);
  const baseline = baselineOf(train, test, labels);
  return {
    name: request.train ?? (request.eval as string),
    head: 'classification',
    labels,
    train: encode(train),
    eval: encode(test),
    ...(baseline && { baseline }),
  };
}

function noData(): UserError {
  return new UserError('No data: give --task NAME, or a file (--train and --eval; --data of `eval`)');
}

async function loadLanguage(
  { task, train, eval: test }: DataRequest,
  modelDir: string,
  config: ModelConfig,
  maxLength: number,
): Promise<DataSet> {
  if (task !== undefined)
    throw new UserError(`--task ${task}: has classes to tell apart; language models learn from files`);
  const name = train ?? test;
  if (name === undefined) throw noData();
  headOf(config, 'causal-lm');
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
  /** Line of the file that each is of; the choices of a line are neighbours. */
  readonly lines: readonly number[];
}

/** What a model makes of rows. */
interface RowsOptions {
  readonly head: HeadKind;
  /** Class names; labels are optional. */
  readonly labels: readonly string[];
  readonly maxLength: number;
}

/** Rows to predict. @throws UserError as `loadData` */
export async function loadRows(
  path: string,
  modelDir: string,
  config: ModelConfig,
  { head, labels, maxLength }: RowsOptions,
): Promise<Rows> {
  const file = await readExamples(path, { needLabel: false, choices: head === 'multiple-choice' });
  const tokenizer = await tokenizerFor([file], modelDir);
  const examples = encodeFile(file, {
    labels: head === 'classification' ? labels : undefined,
    maxLength: Math.min(maxLength, config.maxTokens),
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

function baselineOf(
  train: ExampleFile | undefined,
  test: ExampleFile | undefined,
  labels: readonly string[],
): (() => BaselineResult) | undefined {
  const trainTexts = train && asTexts(train, labels);
  const testTexts = test && asTexts(test, labels);
  return trainTexts && testTexts ? () => runBaseline({ labels, train: trainTexts, test: testTexts }) : undefined;
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
