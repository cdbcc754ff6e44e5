/** Room: data/load. Texts with classes, sets of classes or numbers: which of these the labels are, and under which names. */
import { UserError } from '../../engine/errors.ts';
import type { ModelConfig } from '../../models/architecture.ts';
import { savedHead } from '../../models/config.ts';
import { encodeFile, setTargets, type EncodedFile } from '../encode.ts';
import { readExamples } from '../examples.ts';
import {
  agreedNames,
  labelIndex,
  labelNames,
  labelSetNames,
  problemOf,
  type Label,
  type LabelFile,
  type Problem,
} from '../labels.ts';
import type { RecordSource } from '../record-source.ts';
import type { RequestedData } from '../request.ts';
import type { Example } from '../tasks/built-in.ts';
import { dataSet, type DataSet, type LabelledTexts } from './data-set.ts';
import { encodeOptionsOf, type Encoding } from './encoding.ts';

/** What is known of labels beside the data: a task's names, or what is asked for, what the model at hand has, and what the file says. */
interface KnownLabels {
  readonly labels?: readonly string[];
  readonly file?: readonly string[] | undefined;
  readonly asked?: Problem | undefined;
  readonly known?: readonly string[] | undefined;
}

export async function loadLabelled(
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

/** Of a task: one name is that of a number. */
function problemOfNames(labels: readonly string[]): Problem {
  return labels.length === 1 ? 'regression' : 'single_label_classification';
}

/** A head of one output gives a number; a checkpoint says so too, where its labels are numbers. */
export function problemOfModel(
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
export function ownNames(config: ModelConfig): readonly string[] {
  return savedHead(config) === 'classification' ? config.labels : [];
}

/** @throws UserError where a head gives a number and classes are asked for, or the other way round */
function checkOutputs(problem: Problem, labels: readonly string[], path: string): void {
  if ((problem === 'regression') === (labels.length === 1)) return;
  const has = labels.length === 1 ? 'one output, for a number' : `${labels.length} outputs, for classes`;
  throw new UserError(`${path}: the labels are for ${problem}, but the model's head has ${has}`);
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
