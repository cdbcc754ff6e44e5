/** Room: data/load. Data for heads that have no classes: choices, questions on texts, language. */
import type { z } from 'zod';
import { encodeChoices } from '../encode.ts';
import type { Examples } from '../example-store.ts';
import { readExamples } from '../examples.ts';
import { readLanguageFile } from '../lm/documents.ts';
import { encodeLanguageFile } from '../lm/encode.ts';
import type { dataOptionsSchema, DataOptions } from '../options.ts';
import { ANSWER_DEFAULTS, type AnswerOptions } from '../qa/answers.ts';
import { storeQuestions } from '../qa/encode.ts';
import { readQuestions } from '../qa/questions.ts';
import type { WindowStore } from '../qa/window-store.ts';
import type { RecordSource } from '../record-source.ts';
import type { RequestedData } from '../request.ts';
import type { Task } from '../tasks/task.ts';
import { dataSet, type DataSet } from './data-set.ts';
import { encodeOptionsOf, languageOptions, type Encoding } from './encoding.ts';

export async function loadChoices(data: RequestedData, encoding: Encoding): Promise<DataSet> {
  const options = await encodeOptionsOf(encoding);
  const { onBytes } = encoding;
  const encode = async (source: RecordSource | undefined): Promise<Examples> =>
    source ? encodeChoices(readExamples(source, { needLabel: true, choices: true, onBytes }), options) : [];
  return dataSet(data.name, 'multiple-choice', [], { train: await encode(data.train), eval: await encode(data.eval) });
}

export async function loadQuestions(data: RequestedData, encoding: Encoding): Promise<DataSet> {
  const options = { ...encoding, ...(await encodeOptionsOf(encoding)) };
  const encode = async (source: RecordSource | undefined): Promise<WindowStore | undefined> =>
    source && storeQuestions(readQuestions(source, true, encoding.onBytes), options);
  const [train, test] = [await encode(data.train), await encode(data.eval)];
  const rows = { train: train?.firsts.length ?? 0, eval: test?.firsts.length ?? 0 };
  return dataSet(data.name, 'question-answering', [], { train: train ?? [], eval: test ?? [] }, { rows });
}

/** What is asked of answers; of a task whose questions may have none, that is among them unless asked otherwise. */
export function answerOptions(asked: z.output<typeof dataOptionsSchema>, task: Task | undefined): AnswerOptions {
  const { maxAnswerLength, nullThreshold } = asked;
  const allowEmptyAnswer = asked.allowEmptyAnswer ?? task?.mayHaveNoAnswer ?? ANSWER_DEFAULTS.allowEmptyAnswer;
  return { maxAnswerLength, nullThreshold, allowEmptyAnswer };
}

export async function loadLanguage(
  data: RequestedData,
  encoding: Encoding,
  lossOn: DataOptions['lossOn'],
): Promise<DataSet> {
  const { onBytes } = encoding;
  const options = { ...(await languageOptions(encoding)), lossOn };
  const encode = async (source: RecordSource | undefined): Promise<Examples> =>
    source ? encodeLanguageFile(readLanguageFile(source, onBytes), options) : [];
  return dataSet(data.name, 'causal-lm', [], { train: await encode(data.train), eval: await encode(data.eval) });
}
