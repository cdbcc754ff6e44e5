/** Room: data. Where a run's examples come from: a task, or local files; encoded for the model at hand. */
import type { OnBytes } from '../engine/io/load.ts';
import { parseOptions } from '../engine/options.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { savedHead } from '../models/config.ts';
import { headOf } from '../models/heads.ts';
import { loadLabelled } from './load/classes.ts';
import type { DataSet } from './load/data-set.ts';
import type { KnownHead } from './load/encoding.ts';
import { assertText, headOfData } from './load/head-of-data.ts';
import { answerOptions, loadChoices, loadLanguage, loadQuestions } from './load/heads.ts';
import { loadTaskData, loadText } from './load/task.ts';
import { dataOptionsSchema, MAX_LENGTH, type DataOptions } from './options.ts';
import { assertPackable, withPacking } from './packing.ts';
import { requestedData, requestedTask, taskOf, type DataRequest } from './request.ts';

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
  const { dir: modelDir, config } = checkpoint.resized(known?.base?.config.vocabSize ?? checkpoint.config.vocabSize);
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
