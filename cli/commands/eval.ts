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
import { isSeveral, type TaskRequests } from '../../experiments/task-data.ts';
import { answerQuestions } from '../../generate/answers.ts';
import { loadModel, type Checkpoint } from '../../models/checkpoint.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { evaluate, type Evaluation } from '../../train/evaluate.ts';
import { besides, print, withEngine, type CommandContext } from '../context.ts';
import { sayCounts } from '../data-flags.ts';
import { addInferFlags, INFER_SETTINGS, mergeIfAsked, taskHeadFor, type InferFlags } from '../model-flags.ts';
import { withTasks } from '../task-flags.ts';
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
  const { data, predictions, json } = flags;
  if (predictions !== undefined) await assertWritable(predictions);
  const found = await withTasks(
    flags,
    { eval: data },
    options.data,
    (requests) => withEngine(flags, options.engine, (context) => evaluatedAll(context, flags, requests, options)),
    { evalOnly: true, evalFlag: 'data' },
  );
  if (predictions !== undefined) await writeLines(predictions, linesOf(found));
  const [[, only]] = found as [[string, Evaluated]];
  const results = Object.fromEntries(found.map(([name, { result }]) => [name, result]));
  const texts = found.map(([name, { result }]) => `${found.length > 1 ? `${name}: ` : ''}${textOf(result)}`);
  print(
    json,
    found.length > 1 ? { tasks: results } : only.result,
    texts.join('\n'),
    predictions === undefined ? process.stdout : await besides(predictions),
  );
}

/** Each task in turn, with its head. */
async function evaluatedAll(
  context: CommandContext,
  flags: EvalFlags,
  requests: TaskRequests,
  options: RunOptions,
): Promise<[name: string, Evaluated][]> {
  const all = isSeveral(requests) ? requests : [{ name: requests.task ?? '', request: requests }];
  const found: [string, Evaluated][] = [];
  for (const { name, request } of all) {
    const taskHead = await taskHeadFor(flags.adapter, flags.taskHead, name);
    found.push([name, await evaluated(context, { ...flags, taskHead }, request, options)]);
  }
  return found;
}

/** Lines of all tasks, of several with the task's name; undefined where one has none. */
function linesOf(found: readonly [string, Evaluated][]): readonly object[] | undefined {
  if (found.length === 1) return found[0]![1].lines;
  const lines = found.map(([task, of]) => of.lines?.map((line) => ({ task, ...line })));
  return lines.includes(undefined) ? undefined : lines.flatMap((of) => of ?? []);
}

function textOf(result: Evaluated['result']): string {
  const rate = `${measure(result.examplesPerSecond)} per second`;
  const loss = result.loss === undefined ? '' : `, loss ${result.loss.toFixed(4)}`;
  return `${scoresLine(result)}${loss}\n${result.examples} examples, ${rate}`;
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
  { model: dir, adapter, taskHead, merge }: EvalFlags & { readonly taskHead?: string | undefined },
  request: DataRequest,
  { data: options, load, train: { batchSize } }: RunOptions,
): Promise<Evaluated> {
  const checkpoint = await loadModel(dir);
  const head = await headOfData(request, options);
  const loading = { ...load, taskHead, onBytes };
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
  await mergeIfAsked([model], { merge });
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
