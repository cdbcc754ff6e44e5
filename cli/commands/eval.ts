/** Room: cli. `eval`: a base with or without an adapter, on labelled data. */
import type { Command } from 'commander';
import { loadModel } from '../../models/checkpoint.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { headOfData, loadData } from '../../data/source.ts';
import { evaluate } from '../../train/evaluate.ts';
import { print, withEngine } from '../context.ts';
import { withDataFiles } from '../data-files.ts';
import { sayCounts } from '../data-flags.ts';
import { addInferFlags, INFER_SETTINGS, type InferFlags } from '../model-flags.ts';
import { onDisk } from '../hub.ts';
import { measure } from '../../report/numbers.ts';
import { addSettings, readSettings } from '../options.ts';
import { scoresLine } from '../scores.ts';

interface EvalFlags extends InferFlags {
  readonly adapter?: string;
  readonly json?: boolean;
}

export function addEval(program: Command): void {
  const description =
    'figures on labelled data: accuracy and F1, exact match and F1 of answers, errors of numbers, perplexity';
  const dataText = 'labelled examples (JSONL, JSON, CSV, TSV or Parquet), or text for language models';
  const command = addInferFlags(program.command('eval').description(description), dataText)
    .option('--adapter <name>', 'PEFT or AdapterHub folder, or name on the hub, pruned or not')
    .option('--json', 'print the result as JSON');
  addSettings(command, ['taskType', 'problemType', ...INFER_SETTINGS]).action(runEval);
}

async function runEval(flags: EvalFlags): Promise<void> {
  const { model: dir, adapter, task, dataDir, dataset, datasetConfig, datasetSplit, data: file, json } = flags;
  const {
    data: options,
    load,
    train: { batchSize },
    engine: opened,
  } = await readSettings(flags);
  const result = await withDataFiles({ data: file }, flags.format, async ({ data: path }) => {
    const named = { task, dataDir, dataset, datasetConfig, datasetSplit, eval: path, evalOnly: true };
    const request = await onDisk(named, options);
    return withEngine(flags, opened, async ({ engine, callbacks: { onBytes } }) => {
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
    });
  });
  const rate = `${measure(result.examplesPerSecond)} per second`;
  print(json, result, `${scoresLine(result)}, loss ${result.loss.toFixed(4)}\n${result.examples} examples, ${rate}`);
}
