/** Room: train. Where a run's examples come from: a built-in task, or local files; encoded for the model at hand. */
import { UserError } from '../../engine/errors.ts';
import type { HeadKind, ModelConfig } from '../../models/architecture.ts';
import { headOf } from '../../models/heads.ts';
import { loadTokenizer, type TextTokenizer } from '../../models/tokenizer.ts';
import { runBaseline, type BaselineResult } from '../baseline/tfidf.ts';
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
  readonly labels: readonly string[];
  readonly train: readonly EncodedExample[];
  /** Empty where the user gave none. */
  readonly eval: readonly EncodedExample[];
  /** TF-IDF and logistic regression on the same split; absent where the data is tokenised already or there is none to evaluate. */
  readonly baseline?: () => BaselineResult;
}

/**
 * Loads and encodes data.
 * @param known class names where the model at hand already has them
 * @throws UserError where neither a task nor files are named, a file is wrong, or texts come without a tokenizer
 */
export async function loadData(
  request: DataRequest,
  modelDir: string,
  config: ModelConfig,
  settings: Pick<Settings, 'maxLength' | 'evalSplit'>,
  known?: readonly string[],
): Promise<DataSet> {
  const maxLength = Math.min(settings.maxLength, config.maxTokens);
  if (request.task !== undefined) {
    if (request.train !== undefined) throw new UserError('--task and --train: give one of them');
    const task = await loadTask(request.task);
    const tokenizer = await loadTokenizer(modelDir);
    const test = task[settings.evalSplit];
    return {
      name: task.name,
      labels: task.labels,
      train: encodeTexts(task.train, tokenizer, maxLength),
      eval: encodeTexts(test, tokenizer, maxLength),
      baseline: () => runBaseline({ ...task, test }),
    };
  }
  if (request.train === undefined && request.eval === undefined) {
    throw new UserError('No data: give --task NAME, or a file (--train and --eval; --data of `eval`)');
  }
  const train = request.train === undefined ? undefined : await readExamples(request.train, { needLabel: true });
  const test = request.eval === undefined ? undefined : await readExamples(request.eval, { needLabel: true });
  const labels = known ?? labelNames((train ?? test) as ExampleFile);
  const tokenizer = await tokenizerFor([train, test], modelDir);
  const options = { labels, maxLength, vocabSize: config.vocabSize, tokenizer };
  const encode = (file: ExampleFile | undefined): EncodedExample[] => (file ? encodeFile(file, options) : []);
  const baseline = baselineOf(train, test, labels);
  return {
    name: request.train ?? (request.eval as string),
    labels,
    train: encode(train),
    eval: encode(test),
    ...(baseline && { baseline }),
  };
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
