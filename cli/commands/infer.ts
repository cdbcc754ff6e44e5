/** Room: cli. `eval` and `predict`: a base with or without an adapter, on data. */
import type { FileHandle } from 'node:fs/promises';
import type { Command } from 'commander';
import { UserError } from '../../engine/errors.ts';
import { writeAtomically } from '../../engine/io/files.ts';
import { loadArtefact } from '../../train/artefact.ts';
import { headOfData, loadData, loadRows } from '../../train/data/source.ts';
import { predict } from '../../train/predict.ts';
import { evaluate } from '../../train/stages.ts';
import { addEngineFlags, print, withEngine, type EngineFlags } from '../context.ts';
import { measure } from '../../train/report/numbers.ts';
import { addSettings, readSettings } from '../options.ts';
import { scoresLine } from '../scores.ts';

const MODEL_SETTINGS = ['maxLength', 'weights', 'embeddings', 'compute'] as const;

interface InferFlags extends Record<string, unknown>, EngineFlags {
  readonly model: string;
  readonly adapter?: string;
}

interface EvalFlags extends InferFlags {
  readonly task?: string;
  readonly data?: string;
  readonly json?: boolean;
}

interface PredictFlags extends InferFlags {
  readonly data: string;
  readonly out: string;
}

function addModelFlags(command: Command): Command {
  return addEngineFlags(command)
    .requiredOption('--model <dir>', 'base checkpoint, a Hugging Face folder')
    .option('--adapter <dir>', 'PEFT folder, pruned or not');
}

export function addEval(program: Command): void {
  const command = addModelFlags(
    program.command('eval').description('accuracy, F1 and loss on labelled data; perplexity of language models'),
  )
    .option('--task <name>', 'built-in task: sentiment or spam')
    .option('--eval, --data <file>', 'labelled examples (JSONL, CSV or TSV), or text for language models')
    .option('--json', 'print the result as JSON');
  addSettings(command, [...MODEL_SETTINGS, 'evalSplit', 'taskType']).action(runEval);
}

async function runEval(flags: EvalFlags): Promise<void> {
  const { model: dir, adapter, task, data: file, json } = flags;
  const settings = await readSettings(flags);
  const request = task === undefined ? { ...(file !== undefined && { eval: file }) } : { task };
  if (task !== undefined && file !== undefined) throw new UserError('--task and --data: give one of them');
  const result = await withEngine(flags, settings, async ({ engine, watch: { onBytes } }) => {
    const head = await headOfData(request, settings.taskType);
    const model = await loadArtefact(engine, dir, adapter, settings, { head, onBytes });
    const data = await loadData(request, dir, model.base.config, settings, model);
    const { metrics, inference } = await evaluate(engine, model, data.eval, settings);
    return {
      ...metrics,
      examples: inference.examples,
      examplesPerSecond: inference.examples / inference.seconds,
      peakBytes: inference.peakBytes,
    };
  });
  const rate = `${measure(result.examplesPerSecond)} per second`;
  print(json, result, `${scoresLine(result)}, loss ${result.loss.toFixed(4)}\n${result.examples} examples, ${rate}`);
}

export function addPredict(program: Command): void {
  const described = program
    .command('predict')
    .description(
      'write one line {"logits":[…]} per example, in input order: scores of classes or choices, or a list for every token',
    );
  const command = addModelFlags(described)
    .requiredOption('--data <file>', 'examples: JSONL, CSV or TSV; labels are not needed')
    .requiredOption('--out <file>', 'JSONL file to write');
  addSettings(command, MODEL_SETTINGS).action(runPredict);
}

async function runPredict(flags: PredictFlags): Promise<void> {
  const settings = await readSettings(flags);
  const count = await withEngine(flags, settings, async ({ engine, watch }) => {
    const model = await loadArtefact(engine, flags.model, flags.adapter, settings, watch);
    const { head, labels } = model;
    const { maxLength } = settings;
    const rows = await loadRows(flags.data, flags.model, model.base.config, { head, labels, maxLength });
    let lines = 0;
    const write = async (file: FileHandle): Promise<void> => {
      for await (const logits of predict(engine, model, rows, Math.min(maxLength, model.base.config.maxTokens))) {
        await file.writeFile(`${JSON.stringify({ logits })}\n`);
        lines++;
      }
    };
    await writeAtomically([{ path: flags.out, write }]);
    return lines;
  });
  print(false, undefined, `${count} predictions: ${flags.out}`);
}
