/** Room: cli. `eval` and `predict`: a base with or without an adapter, on data. */
import type { Command } from 'commander';
import { assertWritable, writeAtomically } from '../../engine/io/files.ts';
import type { OpenFile } from '../../engine/io/output.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { loadOntoOneBase } from '../../peft-model/multi-adapter-model.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { headOfData, loadData, loadRows } from '../../data/source.ts';
import { DATA_DIR_FLAG, sayCounts, TASK_FLAG } from '../data-flags.ts';
import { predict, type Window } from '../../train/predict.ts';
import { answerText, type AnswerOptions } from '../../data/qa/answers.ts';
import { evaluate } from '../../train/evaluate.ts';
import { addEngineFlags, besides, print, withEngine, type EngineFlags } from '../context.ts';
import { addFormatFlag, withDataFiles, type DataFormat } from '../data-files.ts';
import { measure } from '../../report/numbers.ts';
import { namedFolders } from '../named-folders.ts';
import { collect } from '../config-file.ts';
import { addSettings, readSettings } from '../options.ts';
import { scoresLine } from '../scores.ts';

const MODEL_SETTINGS = [
  'batchSize',
  'maxLength',
  'docStride',
  'maxAnswerLength',
  'allowEmptyAnswer',
  'nullThreshold',
  'weights',
  'embeddings',
  'compute',
] as const;

const DATA_SETTINGS = [
  'taskType',
  'problemType',
  'evalSplit',
  'selectionSplit',
  'maxEvalExamples',
  'dataSeed',
  'columns',
  'lossOn',
] as const;

interface InferFlags extends Record<string, unknown>, EngineFlags {
  readonly model: string;
  readonly format?: DataFormat;
}

interface EvalFlags extends InferFlags {
  readonly adapter?: string;
  readonly task?: string;
  readonly dataDir?: string;
  readonly data?: string;
  readonly json?: boolean;
}

interface PredictFlags extends InferFlags {
  /** Folders, or NAME=FOLDER. */
  readonly adapter: readonly string[];
  readonly data: string;
  readonly out: string;
}

function addModelFlags(command: Command): Command {
  return addFormatFlag(addEngineFlags(command)).requiredOption(
    '--model <dir>',
    'base checkpoint, a Hugging Face folder',
  );
}

export function addEval(program: Command): void {
  const description =
    'figures on labelled data: accuracy and F1, exact match and F1 of answers, errors of numbers, perplexity';
  const command = addModelFlags(program.command('eval').description(description))
    .option('--adapter <dir>', 'PEFT or AdapterHub folder, pruned or not')
    .option('--task <name>', TASK_FLAG)
    .option('--data-dir <dir>', DATA_DIR_FLAG)
    .option('--eval, --data <file>', 'labelled examples (JSONL, CSV or TSV), or text for language models')
    .option('--json', 'print the result as JSON');
  addSettings(command, [...MODEL_SETTINGS, ...DATA_SETTINGS]).action(runEval);
}

async function runEval(flags: EvalFlags): Promise<void> {
  const { model: dir, adapter, task, dataDir, data: file, json } = flags;
  const {
    data: options,
    load,
    train: { batchSize },
    engine: opened,
  } = await readSettings(flags);
  const result = await withDataFiles({ data: file }, flags.format, ({ data: path }) =>
    withEngine(flags, opened, async ({ engine, callbacks: { onBytes } }) => {
      const request = { task, dataDir, eval: path, evalOnly: true };
      const checkpoint = await loadModel(dir);
      const head = await headOfData(request, options);
      using model = await PeftModel.fromPretrained(engine, checkpoint, adapter, { ...load, head, onBytes });
      const data = await loadData(checkpoint, request, options, model, onBytes);
      sayCounts(data);
      const { metrics, inference } = await evaluate(model, data.eval, { ...options, batchSize, figures: data.figures });
      return {
        ...metrics,
        examples: inference.examples,
        examplesPerSecond: inference.examples / inference.seconds,
        peakBytes: inference.peakBytes,
      };
    }),
  );
  const rate = `${measure(result.examplesPerSecond)} per second`;
  print(json, result, `${scoresLine(result)}, loss ${result.loss.toFixed(4)}\n${result.examples} examples, ${rate}`);
}

export function addPredict(program: Command): void {
  const described = program
    .command('predict')
    .description(
      'write one line {"logits":[…]} per example, in input order: scores of classes or choices, or a list for every token, a list of those where a context has several windows; with "answer" where a question has its context',
    );
  const command = addModelFlags(described)
    .option(
      '--adapter <dir>',
      'PEFT or AdapterHub folder, pruned or not; given again (NAME=DIR to name it), all run on one base and a line has {"logits":{NAME:…}}',
      collect,
      [],
    )
    .requiredOption('--data <file>', 'examples: JSONL, CSV or TSV, - for standard input; labels are not needed')
    .requiredOption('--out <file>', 'JSONL file to write, - for standard output');
  addSettings(command, MODEL_SETTINGS).action(runPredict);
}

async function runPredict(flags: PredictFlags): Promise<void> {
  const {
    data: options,
    load,
    train: { batchSize },
    engine: opened,
  } = await readSettings(flags);
  const folders = namedFolders(flags.adapter);
  await assertWritable(flags.out);
  const count = await withDataFiles({ data: flags.data }, flags.format, ({ data }) =>
    withEngine(flags, opened, async ({ engine, callbacks: { onBytes } }) => {
      const checkpoint = await loadModel(flags.model);
      const loading = { ...load, onBytes };
      const models =
        folders.size === 0
          ? new Map([['', await PeftModel.fromPretrained(engine, checkpoint, undefined, loading)]])
          : await loadOntoOneBase(engine, checkpoint, folders, loading);
      const [first] = models.values();
      const rows = await loadRows(checkpoint, data!, first!, options, onBytes);
      let lines = 0;
      const write = async (file: OpenFile): Promise<void> => {
        const runs = [...models].map(([name, model]) => ({ name, windows: predict(model, rows, { batchSize }) }));
        const of = (all: Readonly<Record<string, unknown>>): unknown =>
          folders.size > 1 ? all : Object.values(all)[0];
        for await (const line of together(runs)) {
          const logits = mapped(line, (windows) =>
            windows.length > 1 ? windows.map((w) => w.scores) : windows[0]?.scores,
          );
          const answers =
            first!.head === 'question-answering' ? mapped(line, (windows) => answerOf(windows, options)) : {};
          const hasText = Object.values(answers).some((answer) => answer !== undefined);
          await file.writeFile(`${JSON.stringify({ logits: of(logits), ...(hasText && { answer: of(answers) }) })}\n`);
          lines++;
        }
      };
      await writeAtomically([{ path: flags.out, write }]);
      return lines;
    }),
  );
  print(false, undefined, `${count} predictions: ${flags.out}`, await besides(flags.out));
}

function answerOf(windows: readonly Window[], options: AnswerOptions): string | undefined {
  return answerText(
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
