/** Room: cli. `predict`: scores of a base with or without adapters, and benchmarks' submissions. */
import type { Command } from 'commander';
import { UserError } from '../../engine/errors.ts';
import { assertWritable, writeAtomically, type PendingFile } from '../../engine/io/files.ts';
import { loadModel, type Checkpoint } from '../../models/checkpoint.ts';
import { loadOntoOneBase } from '../../peft-model/multi-adapter-model.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { textAnswer, type AnswerOptions, type TextAnswer } from '../../data/qa/answers.ts';
import { loadRows, type Rows } from '../../data/load/rows.ts';
import type { Outcome } from '../../data/tasks/figures.ts';
import { taskNamed } from '../../data/tasks/registry.ts';
import { submissionFile } from '../../data/tasks/submission.ts';
import { predict, type Window } from '../../train/predict.ts';
import type { DataRequest } from '../../data/request.ts';
import type { RunOptions } from '../../experiments/options.ts';
import { isSeveral } from '../../experiments/task-data.ts';
import { collect } from '../config-file.ts';
import { besides, print, withEngine, type CommandContext } from '../context.ts';
import { sayCount } from '../data-flags.ts';
import { addInferFlags, INFER_SETTINGS, mergeIfAsked, taskHeadFor, type InferFlags } from '../model-flags.ts';
import { withTasks } from '../task-flags.ts';
import { namedFolders } from '../named-folders.ts';
import { addSettings, readSettings } from '../options.ts';

interface PredictFlags extends InferFlags {
  /** Folders, or NAME=FOLDER. */
  readonly adapter: readonly string[];
  readonly out?: string;
  readonly submission?: string;
}

export function addPredict(program: Command): void {
  const described = program
    .command('predict')
    .description(
      'write one line {"logits":[…]} per example, in input order: scores of classes or choices, or a list for every token, a list of those where a context has several windows; with "answer" where a question has its context',
    );
  const dataText = 'examples: JSONL, CSV, TSV or Parquet, - for standard input; labels are not needed';
  const command = addInferFlags(described, dataText)
    .option(
      '--adapter <name>',
      'PEFT or AdapterHub folder, or name on the hub, pruned or not; given again (NAME=DIR to name it), all run on one base and a line has {"logits":{NAME:…}}',
      collect,
      [],
    )
    .option('--out <file>', 'JSONL file to write, - for standard output')
    .option('--submission <path>', 'file, or folder for one, that the benchmark of --task takes');
  addSettings(command, INFER_SETTINGS).action(runPredict);
}

async function runPredict(flags: PredictFlags): Promise<void> {
  const options = await readSettings(flags);
  const paths = await pathsOf(flags);
  const count = await withTasks(
    flags,
    { eval: flags.data },
    options.data,
    (requests) =>
      withEngine(flags, options.engine, async (context) => {
        const checkpoint = await loadModel(flags.model);
        if (!isSeveral(requests)) {
          const { models, rows } = await opened(context, checkpoint, flags, options, requests);
          await writePredictions((outcomes) => linesOf(models, rows, options, outcomes), rows, paths);
          return rows.firsts.length;
        }
        if (paths.submission !== undefined) throw new UserError('--submission: is of one task, found several');
        let count = 0;
        const lines = async function* (): AsyncGenerator<Line> {
          for (const { name, request } of requests) {
            const { models, rows } = await opened(context, checkpoint, flags, options, request, name);
            for await (const line of linesOf(models, rows, options, undefined)) yield { task: name, ...line };
            count += rows.firsts.length;
            for (const model of [...models.values()].reverse()) model.dispose();
          }
        };
        await writeLines(lines(), paths.out!);
        return count;
      }),
    { evalOnly: true, evalFlag: 'data' },
  );
  const written = Object.values(paths).join(', ');
  print(false, undefined, `${count} predictions: ${written}`, await besides(paths.out ?? written));
}

/** Files to write. */
interface Paths {
  readonly out?: string;
  readonly submission?: string;
}

/** @throws UserError where nothing is to be written, or it cannot be */
async function pathsOf({ out, submission, task: tasks, adapter }: PredictFlags): Promise<Paths> {
  if (out === undefined && submission === undefined) throw new UserError('--out: missing, the file to write');
  if (submission === undefined) {
    await assertWritable(out!);
    return { out: out! };
  }
  const [task] = tasks ?? [];
  if (task === undefined) throw new UserError('--submission: is of a task of a benchmark; name it with --task');
  if (adapter.length > 1) throw new UserError('--submission: found several --adapter, expected one or none');
  const paths = { ...(out !== undefined && { out }), submission: await submissionFile(taskNamed(task), submission) };
  for (const path of Object.values(paths)) await assertWritable(path);
  return paths;
}

type Models = ReadonlyMap<string, PeftModel>;

/** The models for a task's rows, and these. */
async function opened(
  context: CommandContext,
  checkpoint: Checkpoint,
  flags: PredictFlags,
  options: RunOptions,
  request: DataRequest,
  name = request.task,
): Promise<{ readonly models: Models; readonly rows: Rows }> {
  const models = await modelsOf(context, checkpoint, flags, options, name);
  await mergeIfAsked([...models.values()], flags);
  const [first] = models.values();
  const rows = await loadRows(checkpoint, request, first!, options.data, context.callbacks.onBytes);
  sayCount(rows);
  return { models, rows };
}

async function modelsOf(
  { engine, callbacks: { onBytes } }: CommandContext,
  checkpoint: Checkpoint,
  flags: PredictFlags,
  { load }: RunOptions,
  task: string | undefined,
): Promise<Models> {
  const folders = namedFolders(flags.adapter);
  const [folder] = folders.values();
  const taskHead = await taskHeadFor(folder, flags.taskHead, task);
  const loading = { ...load, taskHead, onBytes };
  if (folders.size > 0) return loadOntoOneBase(engine, checkpoint, folders, loading);
  return new Map([['', await PeftModel.fromPretrained(engine, checkpoint, undefined, loading)]]);
}

/** Files are written whole or not at all; the submission is made of what the lines were. */
async function writePredictions(linesOf: LinesOf, rows: Rows, { out, submission }: Paths): Promise<void> {
  const outcomes: Outcome[] = [];
  const lines = linesOf(submission === undefined ? undefined : outcomes);
  const files: PendingFile[] = [];
  if (out !== undefined)
    files.push({
      path: out,
      write: (file) => writeTo(file, lines),
    });
  if (submission !== undefined)
    files.push({
      path: submission,
      write: async (file) => {
        // What is left of them: all where no other file is written.
        while (!(await lines.next()).done) continue;
        await file.writeFile(
          rows.submission!(outcomes)
            .map((line) => `${line}\n`)
            .join(''),
        );
      },
    });
  await writeAtomically(files);
}

async function writeLines(lines: AsyncIterable<Line>, path: string): Promise<void> {
  await writeAtomically([{ path, write: (file) => writeTo(file, lines) }]);
}

async function writeTo(file: Parameters<PendingFile['write']>[0], lines: AsyncIterable<Line>): Promise<void> {
  for await (const line of lines) await file.writeFile(`${JSON.stringify(line)}\n`);
}

type Line = Readonly<Record<string, unknown>>;

/** Lines of predictions; gives the outcome of every row to who asks for them. */
type LinesOf = (outcomes: Outcome[] | undefined) => AsyncGenerator<Line>;

/** @param outcomes is given that of every row, where there is one model */
async function* linesOf(
  models: Models,
  rows: Rows,
  { train: { batchSize } }: Pick<RunOptions, 'train'>,
  outcomes: Outcome[] | undefined,
): AsyncGenerator<Line> {
  const runs = [...models].map(([name, model]) => ({ name, windows: predict(model, rows, { batchSize }) }));
  const of = (all: Readonly<Record<string, unknown>>): unknown => (models.size > 1 ? all : Object.values(all)[0]);
  for await (const line of together(runs)) {
    const logits = mapped(line, (windows) => (windows.length > 1 ? windows.map((w) => w.scores) : windows[0]?.scores));
    const answers = rows.answers && mapped(line, (windows) => answerOf(windows, rows.answers!));
    const texts = answers && mapped(answers, (answer) => answer?.text);
    const hasText = Object.values(texts ?? {}).some((text) => text !== undefined);
    outcomes?.push(...Object.entries(line).map(([name, [window]]) => outcomeOf(window!, answers?.[name])));
    yield { logits: of(logits), ...(texts && hasText && { answer: of(texts) }) };
  }
}

function outcomeOf({ scores }: Window, answer: TextAnswer | undefined): Outcome {
  return answer ? { scores: new Float32Array(), answer } : { scores: Float32Array.from(scores.flat()) };
}

function answerOf(windows: readonly Window[], options: AnswerOptions): TextAnswer | undefined {
  return textAnswer(
    windows.map(({ example, scores }) => ({ example, scores: scores.flat() })),
    options,
  );
}

function mapped<T, U>(all: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, map(value)]));
}

/** One line of all runs at a time, by name. */
async function* together(
  runs: readonly { readonly name: string; readonly windows: AsyncIterable<readonly Window[]> }[],
): AsyncGenerator<Record<string, readonly Window[]>> {
  const streams = runs.map(({ name, windows }) => ({ name, next: windows[Symbol.asyncIterator]() }));
  for (;;) {
    const line: Record<string, readonly Window[]> = {};
    for (const { name, next } of streams) {
      const { value, done } = (await next.next()) as IteratorResult<readonly Window[], undefined>;
      if (done) return;
      line[name] = value;
    }
    yield line;
  }
}
