/** Room: cli. `eval`: a base with or without an adapter, on labelled data. */
import type { Command } from 'commander';
import type { SquadMetrics } from '../../data/metrics.ts';
import { predictionLines } from '../../data/predictions.ts';
import type { DataRequest } from '../../data/request.ts';
import { headOfData } from '../../data/load/head-of-data.ts';
import { loadData } from '../../data/source.ts';
import { taskNamed } from '../../data/tasks/registry.ts';
import type { GeneratedAnswers } from '../../data/text/load.ts';
import { textTaskNamed } from '../../data/text/text-tasks.ts';
import { UserError } from '../../engine/errors.ts';
import { assertWritable, writeAtomically } from '../../engine/io/files.ts';
import type { OnBytes } from '../../engine/io/load.ts';
import type { RunOptions } from '../../experiments/options.ts';
import { answerQuestions } from '../../generate/answers.ts';
import { loadModel, type Checkpoint } from '../../models/checkpoint.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { evaluate, type Evaluation } from '../../train/evaluate.ts';
import { besides, print, withEngine, type CommandContext } from '../context.ts';
import { withDataFiles } from '../data-files.ts';
import { sayCounts } from '../data-flags.ts';
import { addInferFlags, INFER_SETTINGS, type InferFlags } from '../model-flags.ts';
import { onDisk } from '../hub.ts';
import { measure } from '../../report/numbers.ts';
import { addSettings, readSettings } from '../options.ts';
import { scoresLine } from '../scores.ts';

interface EvalFlags extends InferFlags {
  readonly adapter?: string;
  readonly predictions?: string;
  readonly json?: boolean;
}

export function addEval(program: Command): void {
  const description =
    'figures on labelled data: accuracy and F1, exact match and F1 of answers, errors of numbers, perplexity';
  const dataText = 'labelled examples (JSONL, JSON, CSV, TSV or Parquet), or text for language models';
  const command = addInferFlags(program.command('eval').description(description), dataText)
    .option('--adapter <name>', 'PEFT or AdapterHub folder, or name on the hub, pruned or not')
    .option(
      '--predictions <file>',
      'JSONL file with a line for every row: "logits" and "label", or of text "loglikelihood" or "answer"',
    )
    .option('--json', 'print the result as JSON');
  addSettings(command, ['as', 'numFewshot', 'taskType', 'problemType', 'lossOn', ...INFER_SETTINGS]).action(runEval);
}

async function runEval(flags: EvalFlags): Promise<void> {
  const options = await readSettings(flags);
  const { task, dataDir, dataset, datasetConfig, datasetSplit, data: file, format, predictions, json } = flags;
  if (predictions !== undefined) await assertWritable(predictions);
  const { result, lines } = await withDataFiles({ data: file }, format, async ({ data: path }) => {
    const named = { task, dataDir, dataset, datasetConfig, datasetSplit, eval: path, evalOnly: true };
    const request = await onDisk(named, options.data);
    return withEngine(flags, options.engine, (context) => evaluated(context, flags, request, options));
  });
  if (predictions !== undefined) await writeLines(predictions, lines);
  const rate = `${measure(result.examplesPerSecond)} per second`;
  const loss = result.loss === undefined ? '' : `, loss ${result.loss.toFixed(4)}`;
  print(
    json,
    result,
    `${scoresLine(result)}${loss}\n${result.examples} examples, ${rate}`,
    predictions === undefined ? process.stdout : await besides(predictions),
  );
}

type Figures = Evaluation['metrics'] | SquadMetrics;

/** Figures and speed, and what there is to say of every row. */
interface Evaluated {
  readonly result: Figures & {
    /** Of a task its name. */
    readonly task?: string;
    readonly loss?: number;
    readonly examples: number;
    readonly examplesPerSecond: number;
    readonly peakBytes?: number;
  };
  readonly lines: readonly object[] | undefined;
}

async function evaluated(
  { engine, callbacks: { onBytes, signal } }: CommandContext,
  { model: dir, adapter }: EvalFlags,
  request: DataRequest,
  { data: options, load, train: { batchSize } }: RunOptions,
): Promise<Evaluated> {
  const checkpoint = await loadModel(dir);
  const head = await headOfData(request, options);
  const loading = { ...load, onBytes };
  const generated = await generatedText(checkpoint, request, options, onBytes);
  if (generated) {
    const { answers, metrics, seconds } = await answerQuestions(engine, {
      ...generated,
      checkpoint,
      adapter,
      load: loading,
      signal,
    });
    const { length: examples } = answers;
    const result = { ...named(request), ...metrics, examples, examplesPerSecond: examples / seconds };
    return { result, lines: answers.map((answer) => ({ answer })) };
  }
  using model = await PeftModel.fromPretrained(engine, checkpoint, adapter, { ...loading, head });
  const data = await loadData(checkpoint, request, options, model, onBytes);
  sayCounts(data);
  const { figures, answers, text } = data;
  const { metrics, inference, scores } = await evaluate(model, data.eval, { ...answers, batchSize, figures, text });
  const { seconds, peakBytes } = inference;
  const examples = data.rows.eval;
  const result = { ...named(request), ...metrics, examples, examplesPerSecond: examples / seconds, peakBytes };
  return { result, lines: scores && predictionLines(data, scores) };
}

/** The name of a request's task. */
function named({ task }: DataRequest): { readonly task?: string } {
  return task === undefined ? {} : { task: taskNamed(task).name };
}

/** The questions of a task as text whose answers are generated; undefined for other data. */
async function generatedText(
  checkpoint: Checkpoint,
  request: DataRequest,
  options: RunOptions['data'],
  onBytes: OnBytes | undefined,
): Promise<GeneratedAnswers | undefined> {
  if (options.as !== 'text' || request.task === undefined || textTaskNamed(request.task).kind !== 'answer')
    return undefined;
  const data = await loadData(checkpoint, request, options, undefined, onBytes);
  sayCounts(data);
  return data.text?.kind === 'answers' ? data.text : undefined;
}

/** @throws UserError where the data has no lines */
async function writeLines(path: string, lines: readonly object[] | undefined): Promise<void> {
  if (!lines) throw new UserError('--predictions: language data has no predictions, only a loss; leave it out');
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  await writeAtomically([{ path, write: (file) => file.writeFile(text) }]);
}
