/** Room: data/load. Rows to predict, with labels or without. */
import type { OnBytes } from '../../engine/io/load.ts';
import { parseOptions } from '../../engine/options.ts';
import type { HeadKind } from '../../models/architecture.ts';
import type { Checkpoint } from '../../models/checkpoint.ts';
import { headOf } from '../../models/heads.ts';
import { encodeFile, setTargets } from '../encode.ts';
import type { Examples } from '../example-store.ts';
import { readExamples } from '../examples.ts';
import { problemOf } from '../labels.ts';
import { hasPrompts, readLanguageFile } from '../lm/documents.ts';
import { encodeLanguageRows } from '../lm/encode.ts';
import { dataOptionsSchema, MAX_LENGTH, type DataOptions } from '../options.ts';
import type { AnswerOptions } from '../qa/answers.ts';
import { storeQuestions } from '../qa/encode.ts';
import { readQuestions } from '../qa/questions.ts';
import type { RecordSource, Share } from '../record-source.ts';
import { requestedData, requestedTask, taskOf, type DataRequest } from '../request.ts';
import { submissionLines, type Outcome } from '../tasks/figures.ts';
import { exampleSource } from '../tasks/split-source.ts';
import type { TaskRow } from '../tasks/task.ts';
import { problemOfModel } from './classes.ts';
import { encodeOptionsOf, languageOptions, type Encoding, type KnownHead } from './encoding.ts';
import { firstFields } from './head-of-data.ts';
import { answerOptions } from './heads.ts';
import { checkHead, namesOfTask } from './task.ts';

/** Rows to predict. */
export interface Rows {
  /** The task's name, or the file's without its folders. */
  readonly name: string;
  readonly examples: Examples;
  /** Place of the first example of each row; its other choices, or windows, follow. */
  readonly firsts: readonly number[];
  /** Of a drawn part: how many rows of the data it has. */
  readonly drawn?: Share | undefined;
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
  const { dir: modelDir, config } = checkpoint.resized(base?.config.vocabSize ?? checkpoint.config.vocabSize);
  const parsed = parseOptions(dataOptionsSchema, options);
  const { docStride, maxLength: longest = MAX_LENGTH } = parsed;
  const encoding = { modelDir, config, maxLength: Math.min(longest, config.maxTokens), docStride, onBytes };
  const request = { ...given, evalOnly: true };
  const task = taskOf(request);
  const answers = head === 'question-answering' ? answerOptions(parsed, task) : undefined;
  if (!task) {
    const { name, eval: source } = await requestedData(request, parsed);
    return { name, answers, ...(await encodeRows(source!, head, encoding, labels)), drawn: source!.share?.() };
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
    drawn: rows!.share?.(),
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
