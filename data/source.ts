/** Room: data. Where a run's examples come from: a task, or local files; encoded for the model at hand. */
import type { z } from 'zod';
import type { OnBytes } from '../engine/io/load.ts';
import { parseOptions } from '../engine/options.ts';
import type { HeadKind } from '../models/architecture.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { savedHead } from '../models/config.ts';
import { headOf } from '../models/heads.ts';
import { loadLabelled } from './load/classes.ts';
import { drawnOf, type DataSet } from './load/data-set.ts';
import type { Encoding, KnownHead } from './load/encoding.ts';
import { assertText, headOfData } from './load/head-of-data.ts';
import { answerOptions, loadChoices, loadLanguage, loadQuestions } from './load/heads.ts';
import { loadTaskData, loadText } from './load/task.ts';
import { dataOptionsSchema, MAX_LENGTH, type DataOptions } from './options.ts';
import { assertPackable, withPacking } from './packing.ts';
import { requestedData, requestedTask, taskOf, type DataRequest, type RequestedData } from './request.ts';

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
  const { docStride, maxLength = parsed.as === 'text' ? Infinity : MAX_LENGTH } = parsed;
  const encoding = { modelDir, config, maxLength: Math.min(maxLength, config.maxTokens), docStride, onBytes };
  assertText(request, parsed);
  const head = known?.head ?? (await headOfData(request, parsed)) ?? savedHead(config) ?? 'classification';
  headOf(config, head);
  assertPackable(head, parsed);
  const answers = head === 'question-answering' ? answerOptions(parsed, taskOf(request)) : undefined;
  const data = await loadRequested(request, parsed, { head, encoding, labels: known?.labels });
  return { ...withPacking(data, parsed, encoding.maxLength), answers };
}

type ParsedOptions = z.output<typeof dataOptionsSchema>;

/** What data is loaded for. */
interface Purpose {
  readonly head: HeadKind;
  readonly encoding: Encoding;
  /** Class names that the model at hand has. */
  readonly labels: readonly string[] | undefined;
}

async function loadRequested(request: DataRequest, options: ParsedOptions, purpose: Purpose): Promise<DataSet> {
  const task = taskOf(request);
  if (!task) {
    const files = await requestedData(request, options);
    return { ...(await loadFiles(files, options, purpose)), drawn: drawnOf(files) };
  }
  const { head, encoding, labels } = purpose;
  const { as, numFewshot = 0 } = options;
  const rows = await requestedTask(task, request, options);
  const data =
    as === 'text'
      ? await loadText(rows, encoding, { numFewshot, evalOnly: request.evalOnly })
      : await loadTaskData(rows, head, encoding, labels);
  return { ...data, drawn: drawnOf(rows) };
}

async function loadFiles(
  files: RequestedData,
  { lossOn, problemType }: ParsedOptions,
  { head, encoding, labels }: Purpose,
): Promise<DataSet> {
  switch (head) {
    case 'causal-lm':
      return loadLanguage(files, encoding, lossOn);
    case 'question-answering':
      return loadQuestions(files, encoding);
    case 'multiple-choice':
      return loadChoices(files, encoding);
    case 'classification':
    case 'masked-lm':
      return loadLabelled(files, encoding, { asked: problemType, known: labels, file: files.labels });
  }
}
